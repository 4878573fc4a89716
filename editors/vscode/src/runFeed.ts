/**
 * What the run page knows of the rest of the extension: runs as they happen (RunFeed), and what a person may do
 * with one (RunActions). Neither side learns how the other works.
 */
import type * as vscode from "vscode";
import type { Event, Interaction, RunDetail, WorkflowRequests } from "../../../protocol/schema/sidestep";

export type { Event, Interaction, RunDetail, WorkflowRequests };

export type ConnectionState = "connected" | "reconnecting" | "stopped";

export interface RunListener {
  /**
   * The run as it is now, with result, arguments and open questions. Comes before anything else; again after each
   * reconnect, when its questions changed and when it has stopped.
   */
  run(run: RunDetail, pending: readonly Interaction[]): void;
  /** In order of sequence from 1, gap-free, no duplicate, also over server restarts (by cursor). */
  events(events: readonly Event[]): void;
  /** The journal is of another store now: forget all events; they come again from sequence 1. */
  reset(): void;
  /** Live output of a step (`stdout`, `stderr`, `agent`, `progress`); `droppedBytes` were lost just before `text`. */
  output(stepId: string, stream: string, text: string, droppedBytes: number): void;
  /** `message` is for people, with `stopped`: why there is no server. */
  connection(state: ConnectionState, message?: string): void;
  /** The run was deleted; nothing more comes. */
  deleted(): void;
}

export interface RunFeed {
  /** Follows a run from sequence 1 until the result is disposed of; also through restarts of the server. */
  follow(runId: string, listener: RunListener): vscode.Disposable;
  /** One request to the server there is; fails with a ResponseError, whose `data.reason` is the stable word. */
  request<M extends keyof WorkflowRequests>(
    method: M,
    params: WorkflowRequests[M]["params"],
  ): Promise<WorkflowRequests[M]["result"]>;
}

/** What buttons do. Each tells the person by itself when it cannot be done, and then resolves all the same. */
export interface RunActions {
  interrupt(runId: string): Promise<void>;
  /** Resume, or retry of a failed run; with the current source the edited script goes on with the finished steps. */
  continueRun(runId: string, options: { withCurrentSource: boolean }): Promise<void>;
  background(runId: string): Promise<void>;
  /** The same script and arguments as a new run, whose page is opened. */
  rerun(runId: string): Promise<void>;
  answer(interaction: Interaction, answer: unknown): Promise<void>;
  /** `line` is 1-based. */
  openScript(runId: string, line?: number): Promise<void>;
  /** True when the script's file is there and differs from the snapshot that the run was made with. */
  canUseCurrentSource(runId: string): Promise<boolean>;
}
