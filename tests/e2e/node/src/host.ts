/**
 * A host: one server process behind Microsoft's JSON-RPC library, every message typed by the generated protocol types.
 *
 * It keeps what it is told, in the order of arrival, and knows no workflow.
 */

import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import {
  type CancellationToken,
  type MessageConnection,
  ResponseError,
  StreamMessageReader,
  StreamMessageWriter,
  createMessageConnection,
} from "vscode-jsonrpc/node";

import type {
  Event,
  KnownErrorData,
  LspClientNotifications,
  LspNotifications,
  LspRequests,
  ServerWorkflowCapability,
  WorkflowNotifications,
  WorkflowRequests,
} from "../../../../protocol/schema/sidestep";

type Requests = WorkflowRequests & LspRequests;
type Told = WorkflowNotifications & LspNotifications;

/** One thing the host was told. A union over the methods, so that `method` narrows `params`. */
export type Notice = { [M in keyof Told]: { method: M; params: Told[M]["params"] } }[keyof Told];

/** How a process ended. */
export interface Ending {
  code: number | null;
  signal: NodeJS.Signals | null;
}

const TOLD: (keyof Told)[] = ["workflow/statusChanged", "workflow/eventsAppended", "workflow/lagged", "$/progress"];

export class Host {
  /** Everything told so far, in order. */
  readonly notices: Notice[] = [];
  /** What the server said in `initialize`; set by whoever shakes hands. */
  server: ServerWorkflowCapability | undefined;
  private readonly connection: MessageConnection;
  private readonly ended: Promise<Ending>;
  private readonly process: ChildProcess;
  private readonly waiting = new Set<() => void>();

  /** Spawn a server; its log goes where ours goes. */
  constructor(command: string[]) {
    const [program, ...words] = command;
    if (program === undefined) throw new Error("no server command");
    const child = spawn(program, words, { stdio: ["pipe", "pipe", "inherit"] });
    this.process = child;
    // "close", not "exit": by then everything it wrote was read.
    this.ended = once(child, "close").then(([code, signal]) => ({ code, signal }) as Ending);
    // A server that is killed does not read its input any more; how it ended is told by `end`.
    child.stdin.on("error", () => undefined);
    this.connection = createMessageConnection(
      new StreamMessageReader(child.stdout),
      new StreamMessageWriter(child.stdin),
    );
    for (const method of TOLD) {
      this.connection.onNotification(method, (params) => this.take({ method, params } as Notice));
    }
    this.connection.listen();
  }

  /** Send a request. What is refused rejects with a ResponseError; see `reasonOf`. */
  async request<M extends keyof Requests>(
    method: M,
    params: Requests[M]["params"],
    token?: CancellationToken,
  ): Promise<Requests[M]["result"]> {
    return token === undefined
      ? this.connection.sendRequest<Requests[M]["result"]>(method, params)
      : this.connection.sendRequest<Requests[M]["result"]>(method, params, token);
  }

  notify<M extends keyof LspClientNotifications>(method: M, params: LspClientNotifications[M]["params"]): Promise<void> {
    return this.connection.sendNotification(method, params);
  }

  /** The first thing told that `wanted` takes: one that came already, or one to come. */
  async told<T>(wanted: (notice: Notice) => T | undefined): Promise<T> {
    for (let read = 0; ; ) {
      for (; read < this.notices.length; read++) {
        const found = wanted(this.notices[read]!);
        if (found !== undefined) return found;
      }
      await new Promise<void>((resolve) => this.waiting.add(resolve));
    }
  }

  /** The events of a run that were told as `workflow/eventsAppended`. */
  eventsOf(runId: string): Event[] {
    return this.notices.flatMap((notice) =>
      notice.method === "workflow/eventsAppended" && notice.params.runId === runId ? notice.params.events : [],
    );
  }

  /** Await the moment in which a step has begun to run. */
  async stepStarted(runId: string, stepId: string, attempt = 1): Promise<void> {
    await this.told((notice) => {
      if (notice.method !== "workflow/eventsAppended" || notice.params.runId !== runId) return undefined;
      return notice.params.events.find(
        (event) =>
          event.type === "step" &&
          event.stepId === stepId &&
          event.status === "started" &&
          event.attempt === attempt,
      );
    });
  }

  /** Await a status of a run. */
  async status(runId: string, status: string): Promise<WorkflowNotifications["workflow/statusChanged"]["params"]> {
    return this.told((notice) =>
      notice.method === "workflow/statusChanged" && notice.params.runId === runId && notice.params.status === status
        ? notice.params
        : undefined,
    );
  }

  kill(): void {
    this.process.kill("SIGKILL");
  }

  /** Wait for the end of the process. */
  async end(): Promise<Ending> {
    const ending = await this.ended;
    this.connection.dispose();
    return ending;
  }

  /** `shutdown`, `exit`, and how the process ended. */
  async leave(): Promise<Ending> {
    await this.request("shutdown", {});
    await this.notify("exit", {});
    return this.end();
  }

  private take(notice: Notice): void {
    this.notices.push(notice);
    const waiting = [...this.waiting];
    this.waiting.clear();
    for (const wake of waiting) wake();
  }
}

/** What a refused request says: its code, and its data, which `reason` narrows. */
export async function refusal(request: Promise<unknown>): Promise<{ code: number; data: KnownErrorData }> {
  try {
    await request;
  } catch (error) {
    if (error instanceof ResponseError) return { code: error.code, data: error.data as KnownErrorData };
    throw error;
  }
  throw new Error("the request was not refused");
}
