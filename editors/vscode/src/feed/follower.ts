/**
 * One run and everybody who follows it, over one subscription.
 *
 * A subscription belongs to a run and a connection, so all listeners share it: it begins at the cursor of whoever has
 * read least, and each listener's own cursor passes over what it has.
 * Invariant: a listener hears `run` before any event, and each event once and in order.
 */
import type { Event, Interaction, RunDetail, StatusChangedNotification } from "../../../../protocol/schema/sidestep";
import { refusalOf } from "../client/problem";
import type { ConnectionState, RunListener } from "../runFeed";
import { Cursor } from "./cursor";
import type { Wire } from "./wire";

/** Milliseconds before a refused subscription is tried again. */
const RETRY_MS = 1_000;
/** Events after which the run's detail may be another one. */
const TELLING = new Set(["status", "interaction", "attention", "source", "result", "error"]);

export interface Timers {
  after(milliseconds: number, action: () => void): void;
}

/** What a listener has been told so far. */
interface Reader {
  readonly cursor: Cursor;
  /** It was told the run: from then on it hears events. */
  isGreeted: boolean;
  connection?: ConnectionState;
}

export class Follower {
  private readonly listeners = new Map<RunListener, Reader>();
  private isSyncing = false;
  private mustSyncAgain = false;
  private isRefreshing = false;
  private mustRefreshAgain = false;
  private isOver = false;
  private detail?: { run: RunDetail; pending: readonly Interaction[] };

  constructor(
    readonly runId: string,
    private readonly wire: Wire,
    private readonly timers: Timers,
  ) {}

  get isEmpty(): boolean {
    return this.listeners.size === 0;
  }

  join(listener: RunListener): void {
    this.listeners.set(listener, { cursor: new Cursor(), isGreeted: false });
  }

  leave(listener: RunListener): void {
    this.listeners.delete(listener);
  }

  /** Subscribes, from where everybody has got to; called for each connection, listener, gap and lag. */
  sync(): void {
    this.mustSyncAgain = true;
    if (!this.isSyncing) void this.syncUntilDone();
  }

  appended(events: readonly Event[]): void {
    const hasGap = this.deliver(events);
    // While a subscription is being made, a newcomer sees the old one's events too early: they come again.
    if (hasGap && !this.isSyncing) this.sync();
    if (events.some((event) => TELLING.has(event.type))) this.refresh();
  }

  output(stepId: string, stream: string, text: string, droppedBytes: number): void {
    for (const [listener] of this.listeners) listener.output(stepId, stream, text, droppedBytes);
  }

  statusChanged(change: StatusChangedNotification): void {
    const known = this.detail?.run;
    if (known && (known.pending !== change.summary.pending || known.status !== change.status)) this.refresh();
  }

  connection(state: ConnectionState, message?: string): void {
    for (const [listener, reader] of this.listeners) {
      if (reader.connection === state) continue;
      reader.connection = state;
      listener.connection(state, message);
    }
  }

  /** The root's deletion takes its nested runs with it. */
  deleted(runId: string): void {
    if (runId !== this.runId && runId !== this.detail?.run.rootRunId) return;
    this.isOver = true;
    for (const [listener] of [...this.listeners]) listener.deleted();
  }

  private async syncUntilDone(): Promise<void> {
    this.isSyncing = true;
    while (this.mustSyncAgain && !this.isEmpty && !this.isOver) {
      this.mustSyncAgain = false;
      try {
        await this.syncOnce();
      } catch (error) {
        this.refused(error);
      }
    }
    this.isSyncing = false;
  }

  private async syncOnce(): Promise<void> {
    await this.tell();
    const afterSequence = Math.min(...[...this.listeners.values()].map(({ cursor }) => cursor.last));
    if (!Number.isFinite(afterSequence)) return;
    const { events } = await this.wire.request("workflow/subscribe", { runId: this.runId, afterSequence });
    this.connection("connected");
    this.deliver(events);
  }

  private refused(error: unknown): void {
    const { reason, message, data } = refusalOf(error);
    if (reason === "runNotFound") return this.deleted(this.runId);
    if (reason === "invalidParams" && data.path === "$.afterSequence") {
      for (const [listener, { cursor }] of this.listeners) {
        cursor.last = 0;
        listener.reset();
      }
      this.mustSyncAgain = true;
      return;
    }
    // A lost connection is followed by another one, which syncs again.
    if (reason === "connection") return;
    this.connection("reconnecting", message);
    this.timers.after(RETRY_MS, () => this.sync());
  }

  private deliver(events: readonly Event[]): boolean {
    let anyGap = false;
    for (const [listener, { cursor, isGreeted }] of [...this.listeners]) {
      if (!isGreeted) continue;
      const { taken, hasGap } = cursor.take(events);
      if (taken.length > 0) listener.events(taken);
      anyGap ||= hasGap;
    }
    return anyGap;
  }

  /** Tells the run's detail anew, soon; several reasons at once are one. */
  private refresh(): void {
    this.mustRefreshAgain = true;
    if (!this.isRefreshing) void this.refreshUntilDone();
  }

  private async refreshUntilDone(): Promise<void> {
    this.isRefreshing = true;
    while (this.mustRefreshAgain && !this.isEmpty && !this.isOver) {
      this.mustRefreshAgain = false;
      try {
        await this.tell();
      } catch (error) {
        if (refusalOf(error).reason === "runNotFound") this.deleted(this.runId);
      }
    }
    this.isRefreshing = false;
  }

  private async tell(): Promise<void> {
    const told = await this.wire.request("workflow/get", { runId: this.runId, include: ["args", "result"] });
    this.detail = told;
    for (const [listener, reader] of [...this.listeners]) {
      reader.isGreeted = true;
      listener.run(told.run, told.pending);
    }
  }
}
