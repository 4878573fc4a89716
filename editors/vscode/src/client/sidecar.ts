/**
 * The server for this window: keeps one running, and is who everybody else asks.
 *
 * Handlers registered here hold for every server there will be. A request waits for a server that is being started; it
 * is sent once, unless whoever makes it says that it may be sent again.
 */
import * as vscode from "vscode";
import type { Middleware } from "vscode-languageclient/node";
import type {
  ServerWorkflowCapability,
  WorkflowClientNotifications,
  WorkflowNotifications,
  WorkflowRequests,
  WorkflowServerRequests,
} from "../../../../protocol/schema/sidestep";
import type { Discovery } from "../server/discovery";
import { refusalOf } from "./problem";
import { Restarts } from "./restarts";
import { Session, type SessionParts } from "./session";

export type SidecarState =
  /** Nobody needed it so far: the first request starts it. */
  | { readonly kind: "idle" }
  | { readonly kind: "starting" }
  | { readonly kind: "running"; readonly capability: ServerWorkflowCapability; readonly server: string }
  | { readonly kind: "restarting" }
  /** `problem` is missing when a person stopped it. */
  | { readonly kind: "stopped"; readonly problem?: string };

type AtEachStart = "capability" | "initializationOptions" | "serverArguments";

export interface SidecarParts extends Omit<SessionParts, "found" | "died" | "middleware" | AtEachStart> {
  readonly discover: () => Promise<Discovery>;
  readonly middleware: () => Middleware;
  /** Read at each start, for settings and trust change. */
  readonly greeting: () => Pick<SessionParts, AtEachStart>;
  /** Told when there is no server and will be none by itself. */
  readonly gaveUp: (problem: string, kind: "setting" | "version" | "missing" | "dying" | "failed") => void;
  readonly now: () => number;
}

// Typed where they are registered; one list holds those of all methods.
type NotificationHandler = (params: any) => void;
type RequestHandler = (params: any, token: vscode.CancellationToken) => Promise<unknown>;

export class Sidecar implements vscode.Disposable {
  private session?: Session;
  private current: SidecarState = { kind: "idle" };
  private readonly changed = new vscode.EventEmitter<SidecarState>();
  /** A client has one handler for a method; here several may listen. */
  private readonly notificationHandlers = new Map<string, NotificationHandler[]>();
  private readonly requestHandlers: [string, RequestHandler][] = [];
  private readonly restarts = new Restarts();
  /** Grows with each start and stop: what began under another number is void. */
  private generation = 0;

  readonly onDidChangeState = this.changed.event;

  constructor(private readonly parts: SidecarParts) {}

  get state(): SidecarState {
    return this.current;
  }

  /** Of the server there is. */
  get processId(): number | undefined {
    return this.session?.processId;
  }

  onNotification<M extends keyof WorkflowNotifications>(
    method: M,
    handler: (params: WorkflowNotifications[M]["params"]) => void,
  ): void {
    this.notificationHandlers.set(method, [...(this.notificationHandlers.get(method) ?? []), handler]);
  }

  onRequest<M extends keyof WorkflowServerRequests>(
    method: M,
    handler: (
      params: WorkflowServerRequests[M]["params"],
      token: vscode.CancellationToken,
    ) => Promise<WorkflowServerRequests[M]["result"] | null>,
  ): void {
    this.requestHandlers.push([method, handler]);
  }

  /** `again`: when a server died under the request, may it go to the next one? Never, when left out. */
  async request<M extends keyof WorkflowRequests>(
    method: M,
    params: WorkflowRequests[M]["params"],
    token?: vscode.CancellationToken,
    again: () => boolean = () => false,
  ): Promise<WorkflowRequests[M]["result"]> {
    for (;;) {
      // Without any server to come this fails, and that is the end of it.
      const session = await this.running();
      try {
        // A token that is left undefined would be sent as a second parameter.
        return await (token
          ? session.client.sendRequest(method, params, token)
          : session.client.sendRequest(method, params));
      } catch (error) {
        if (refusalOf(error).reason !== "connection" || !again()) throw error;
        await this.without(session);
      }
    }
  }

  /** Dropped when there is no server. */
  notify<M extends keyof WorkflowClientNotifications>(
    method: M,
    params: WorkflowClientNotifications[M]["params"],
  ): void {
    if (this.current.kind === "running")
      void this.session?.client.sendNotification(method, params).catch(() => undefined);
  }

  async start(): Promise<void> {
    this.restarts.forget();
    await this.begin({ kind: "starting" });
  }

  /** What is asked meanwhile waits for the next server. */
  async restart(): Promise<void> {
    await this.end({ kind: "restarting" });
    await this.start();
  }

  stop(): Promise<void> {
    return this.end({ kind: "stopped" });
  }

  dispose(): void {
    void this.stop();
    this.changed.dispose();
  }

  private async end(state: SidecarState): Promise<void> {
    this.generation += 1;
    const session = this.session;
    this.session = undefined;
    this.become(state);
    await session?.stop();
  }

  private async begin(state: SidecarState): Promise<void> {
    const generation = ++this.generation;
    this.become(state);
    const { log, gaveUp } = this.parts;
    const { found, passedOver, problem } = await this.parts.discover();
    if (generation !== this.generation) return;
    for (const why of passedOver) log.info(`Passed over: ${why}`);
    if (!found) {
      const message = problem?.message ?? "There is no Sidestep server.";
      this.become({ kind: "stopped", problem: message });
      return gaveUp(message, problem?.kind ?? "missing");
    }
    const server = `Sidestep ${found.version} (${found.candidate.label})`;
    log.info(`Starting ${server}`);
    const session = this.newSession(found);
    this.session = session;
    let misfit: string | undefined;
    try {
      misfit = await session.start();
    } catch (error) {
      if (generation !== this.generation) return;
      const { reason, message } = refusalOf(error);
      if (reason === "connection") this.failed(session, message);
      // It lives and does not want us, as with a setting it cannot read: the next one would say the same.
      else this.giveUp(session, `${server} refused to start: ${message}`, "failed");
      return;
    }
    if (generation !== this.generation) return;
    if (misfit || !session.capability) {
      return this.giveUp(session, misfit ?? "The server did not say what it can do.", "version");
    }
    this.become({ kind: "running", capability: session.capability, server });
  }

  private giveUp(session: Session, problem: string, kind: "version" | "failed"): void {
    this.session = undefined;
    void session.stop();
    this.become({ kind: "stopped", problem });
    this.parts.gaveUp(problem, kind);
  }

  private newSession(found: NonNullable<Discovery["found"]>): Session {
    const session = new Session({
      ...this.parts,
      ...this.parts.greeting(),
      middleware: this.parts.middleware(),
      found,
      died: (ended) => this.failed(ended, "the server ended by itself"),
    });
    for (const [method, handlers] of this.notificationHandlers) {
      session.client.onNotification(method, (params) => {
        // One after a stop or restart is of no concern.
        if (session === this.session) for (const handler of handlers) handler(params);
      });
    }
    for (const [method, handler] of this.requestHandlers) session.client.onRequest(method, handler);
    return session;
  }

  /** A server died, or could not be greeted. */
  private failed(session: Session, why: string): void {
    if (session !== this.session) return;
    this.session = undefined;
    void session.stop();
    this.parts.log.warn(`The server is gone: ${why}`);
    const pause = this.restarts.died(this.parts.now());
    if (pause === "ask") {
      const problem =
        "The Sidestep server died again and again, and five restarts did not help. No finished step is lost.";
      this.generation += 1;
      this.become({ kind: "stopped", problem });
      return this.parts.gaveUp(problem, "dying");
    }
    const generation = ++this.generation;
    this.become({ kind: "restarting" });
    setTimeout(() => {
      if (generation === this.generation) void this.begin({ kind: "restarting" });
    }, pause);
  }

  /** The session that runs, or is being started now. */
  private running(): Promise<Session> {
    return new Promise((resolve, reject) => {
      if (this.current.kind === "idle") void this.start();
      const settle = (): boolean => {
        const state = this.current;
        if (state.kind === "running" && this.session) resolve(this.session);
        else if (state.kind === "stopped") reject(new Error(state.problem ?? "The Sidestep server is not running."));
        else return false;
        return true;
      };
      if (settle()) return;
      const waiting = this.onDidChangeState(() => settle() && waiting.dispose());
    });
  }

  /** As soon as it is known that the session's server is gone. */
  private without(session: Session): Promise<void> {
    return new Promise((resolve) => {
      if (session !== this.session) return resolve();
      const waiting = this.onDidChangeState(() => {
        if (session === this.session) return;
        waiting.dispose();
        resolve();
      });
    });
  }

  private become(state: SidecarState): void {
    this.current = state;
    this.changed.fire(state);
  }
}
