/** The feed: who follows which run, told what the server says, and subscribed again when there is another server. */
import type { WorkflowRequests } from "../../../../protocol/schema/sidestep";
import type { ConnectionState, RunListener } from "../runFeed";
import { Follower, type Timers } from "./follower";
import type { Wire } from "./wire";

export class LiveRuns {
  private readonly followers = new Map<string, Follower>();
  private state: { kind: ConnectionState; message?: string } = { kind: "reconnecting" };

  constructor(
    private readonly wire: Wire,
    private readonly timers: Timers,
  ) {
    wire.onNotification("workflow/eventsAppended", ({ runId, events }) => this.followers.get(runId)?.appended(events));
    wire.onNotification("workflow/output", ({ runId, stepId, stream, text, droppedBytes }) =>
      this.followers.get(runId)?.output(stepId, stream, text, droppedBytes),
    );
    wire.onNotification("workflow/lagged", ({ runId }) => this.followers.get(runId)?.sync());
    wire.onNotification("workflow/statusChanged", (change) => this.followers.get(change.runId)?.statusChanged(change));
    wire.onNotification("workflow/deleted", ({ runId }) => this.deleted(runId));
  }

  follow(runId: string, listener: RunListener): { dispose(): void } {
    let follower = this.followers.get(runId);
    if (!follower) {
      follower = new Follower(runId, this.wire, this.timers);
      this.followers.set(runId, follower);
    }
    const joined = follower;
    joined.join(listener);
    if (this.state.kind === "connected") joined.sync();
    else joined.connection(this.state.kind, this.state.message);
    return { dispose: () => this.leave(joined, listener) };
  }

  request<M extends keyof WorkflowRequests>(
    method: M,
    params: WorkflowRequests[M]["params"],
  ): Promise<WorkflowRequests[M]["result"]> {
    return this.wire.request(method, params);
  }

  /** There is a server, there will be one, or there is none. */
  connection(kind: ConnectionState, message?: string): void {
    this.state = { kind, message };
    for (const follower of this.followers.values()) {
      if (kind === "connected") follower.sync();
      else follower.connection(kind, message);
    }
  }

  private leave(follower: Follower, listener: RunListener): void {
    follower.leave(listener);
    if (!follower.isEmpty || this.followers.get(follower.runId) !== follower) return;
    this.followers.delete(follower.runId);
    if (this.state.kind !== "connected") return;
    // Somebody may have begun to follow it anew by then: an unsubscribe before that subscription changes nothing.
    this.wire.request("workflow/unsubscribe", { runId: follower.runId }).catch(() => undefined);
  }

  private deleted(runId: string): void {
    for (const follower of [...this.followers.values()]) follower.deleted(runId);
  }
}
