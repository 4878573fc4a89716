/**
 * The runs that a person waits for in this window: started, resumed or retried in the foreground.
 *
 * Shows the progress whose Cancel interrupts the run, until the run stops or goes to the background; through a restart
 * of the server too, for the run is the journal's and not the request's.
 */
import { randomUUID } from "node:crypto";
import * as vscode from "vscode";
import type { RunSummary, StatusChangedNotification, WorkflowRequests } from "../../../../protocol/schema/sidestep";
import { refusalOf } from "../client/problem";
import type { Sidecar } from "../client/sidecar";
import type { RunList } from "./runList";
import { isActive } from "./status";

type Waiting = "workflow/start" | "workflow/resume" | "workflow/retry";

/** Milliseconds that a run may stay interrupted by a crash before nobody is expected to resume it. */
const RESUME_WAIT_MS = 5_000;

export interface Attendance {
  /** As soon as the run's id is known; undefined when the request was refused before there was a run. */
  readonly started: Promise<string | undefined>;
  /** When the run has stopped or went to the background; a refusal is thrown. */
  readonly ended: Promise<void>;
}

export class AttendedRuns {
  private readonly attended = new Set<string>();
  /** Told once of the first word about a run: by its start key, or by its id when it goes on. */
  private readonly expected = new Map<string, (runId: string) => void>();

  constructor(
    private readonly sidecar: Sidecar,
    private readonly runs: RunList,
  ) {
    sidecar.onNotification("workflow/statusChanged", (change) => this.changed(change));
  }

  /** Whether a progress of this window stands for the run. */
  has(runId: string): boolean {
    return this.attended.has(runId);
  }

  start(params: WorkflowRequests["workflow/start"]["params"], title: string): Attendance {
    const startKey = randomUUID();
    return this.attendFrom(startKey, (started) =>
      this.attend("workflow/start", { ...params, startKey, mode: "foreground" }, title, started, startKey),
    );
  }

  /** Waits for a run that goes on. */
  goOn(
    method: "workflow/resume" | "workflow/retry",
    params: WorkflowRequests["workflow/retry"]["params"],
    title: string,
  ): Attendance {
    return this.attendFrom(params.runId, (started) =>
      this.attend(method, { ...params, mode: "foreground" }, title, started),
    );
  }

  private attendFrom(key: string, attend: (started: Promise<string | undefined>) => Promise<void>): Attendance {
    let known: (runId: string | undefined) => void = () => undefined;
    const started = new Promise<string | undefined>((resolve) => (known = resolve));
    this.expected.set(key, (runId) => {
      this.attended.add(runId);
      known(runId);
    });
    const ended = attend(started).finally(() => {
      this.expected.delete(key);
      known(undefined);
    });
    return { started, ended };
  }

  private changed({ startKey, runId, status }: StatusChangedNotification): void {
    if (startKey !== undefined) this.expected.get(startKey)?.(runId);
    if (isActive(status)) this.expected.get(runId)?.(runId);
  }

  /** With a start key the request may be sent again: the run exists at most once, and is found by its key. */
  private async attend<M extends Waiting>(
    method: M,
    params: WorkflowRequests[M]["params"],
    title: string,
    started: Promise<string | undefined>,
    startKey?: string,
  ): Promise<void> {
    const options = { location: vscode.ProgressLocation.Notification, title, cancellable: true };
    await vscode.window.withProgress(options, async (progress, token) => {
      let runId: string | undefined;
      const tell = (): void => {
        const run = runId === undefined ? undefined : this.runs.get(runId);
        if (run) progress.report({ message: progressText(run) });
      };
      const telling = this.runs.onDidChange(tell);
      void started.then((known) => {
        runId = known;
        tell();
      });
      const isUnknown = (): boolean => startKey !== undefined && runId === undefined;
      try {
        const outcome = await this.sidecar.request(method, params, token, isUnknown);
        // A run that had stopped before its start was sent again is told of by the answer alone.
        if (startKey !== undefined && runId === undefined) {
          this.expected.get(startKey)?.(outcome.runId);
          await started;
        }
        // Stopped by the crash its start was in: the next server resumes it.
        if ("reason" in outcome && outcome.reason === "crash") return await this.outlive(outcome.runId, token);
      } catch (error) {
        const { reason } = refusalOf(error);
        if (reason === "connection" && runId !== undefined) return await this.outlive(runId, token);
        // The person cancelled it: the run is interrupted, and its status tells.
        if (reason !== "requestCancelled" && reason !== "serverDraining") throw error;
      } finally {
        telling.dispose();
        if (runId !== undefined) this.attended.delete(runId);
      }
    });
  }

  /** The server died under the request: the run goes on with the next server, or shows as interrupted. */
  private async outlive(runId: string, token: vscode.CancellationToken): Promise<void> {
    const subscriptions: { dispose(): void }[] = [token.onCancellationRequested(() => void this.interrupt(runId))];
    try {
      await new Promise<void>((resolve) => {
        const look = (): void => {
          const ending = this.ending(runId);
          if (ending === "over") resolve();
          // The next server resumes what a crash interrupted, a moment after it has shown it so.
          if (ending === "perhaps") setTimeout(() => this.ending(runId) === "goes on" || resolve(), RESUME_WAIT_MS);
        };
        subscriptions.push(this.runs.onDidChange(look), this.sidecar.onDidChangeState(look));
      });
    } finally {
      for (const subscription of subscriptions) subscription.dispose();
    }
  }

  private ending(runId: string): "goes on" | "perhaps" | "over" {
    const { kind } = this.sidecar.state;
    if (kind !== "running") return kind === "stopped" ? "over" : "goes on";
    const run = this.runs.get(runId);
    if (run && isActive(run.status)) return "goes on";
    return run?.status === "interrupted" && run.reason === "crash" ? "perhaps" : "over";
  }

  private async interrupt(runId: string): Promise<void> {
    await this.sidecar.request("workflow/interrupt", { runId }).catch(() => undefined);
  }
}

function progressText(run: RunSummary): string {
  const done = run.steps.completed;
  const parts = [run.phase, done > 0 ? `${done} ${done === 1 ? "step" : "steps"} done` : undefined];
  if (run.pending > 0) parts.push("waits for an answer");
  return parts.filter(Boolean).join(" · ");
}
