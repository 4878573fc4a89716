import assert from "node:assert/strict";
import { test } from "node:test";
import type { Event, WorkflowNotifications, WorkflowRequests } from "../../../../../protocol/schema/sidestep";
import { Cursor } from "../../../src/feed/cursor";
import { LiveRuns } from "../../../src/feed/liveRuns";
import type { Wire } from "../../../src/feed/wire";
import type { RunListener } from "../../../src/runFeed";

const event = (sequence: number): Event => ({
  type: "log",
  sequence,
  at: "2026-01-31T09:30:00.000Z",
  message: `${sequence}`,
});
const events = (first: number, last: number): Event[] =>
  Array.from({ length: last - first + 1 }, (_, n) => event(first + n));

/** A server with one run, whose journal tests let grow; it subscribes and tells as the contract says. */
class FakeServer implements Wire {
  journal: Event[] = [];
  pending = 0;
  isGone = false;
  readonly asked: string[] = [];
  private subscribedFrom: number | undefined;
  private readonly handlers = new Map<string, ((params: never) => void)[]>();
  /** Requests that wait for the test to let them go on. */
  gate: Promise<void> = Promise.resolve();

  onNotification<M extends keyof WorkflowNotifications>(
    method: M,
    handler: (params: WorkflowNotifications[M]["params"]) => void,
  ): void {
    this.handlers.set(method, [...(this.handlers.get(method) ?? []), handler as (params: never) => void]);
  }

  tell(method: keyof WorkflowNotifications, params: unknown): void {
    for (const handler of this.handlers.get(method) ?? []) handler(params as never);
  }

  async request<M extends keyof WorkflowRequests>(
    method: M,
    params: WorkflowRequests[M]["params"],
  ): Promise<WorkflowRequests[M]["result"]> {
    await this.gate;
    const { afterSequence = 0 } = params as { afterSequence?: number };
    this.asked.push(method === "workflow/subscribe" ? `subscribe ${afterSequence}` : method.replace("workflow/", ""));
    if (this.isGone) throw new Error("Connection got disposed.");
    if (method === "workflow/get") {
      return {
        run: { runId: "run", rootRunId: "root", status: "running", pending: this.pending },
        pending: [],
      } as never;
    }
    if (method === "workflow/subscribe") {
      const { length } = this.journal;
      if (afterSequence > length) {
        throw {
          code: -32602,
          message: "params.afterSequence",
          data: { reason: "invalidParams", path: "$.afterSequence", expected: `${length}` },
        };
      }
      this.subscribedFrom = afterSequence;
      return { run: {}, events: this.journal.slice(afterSequence), liveFromSequence: length + 1, pending: [] } as never;
    }
    if (method === "workflow/unsubscribe") this.subscribedFrom = undefined;
    return {} as never;
  }

  append(count: number): void {
    const added = events(this.journal.length + 1, this.journal.length + count);
    this.journal.push(...added);
    if (this.subscribedFrom !== undefined && !this.isGone)
      this.tell("workflow/eventsAppended", { runId: "run", events: added });
  }
}

class Listener implements RunListener {
  readonly heard: number[] = [];
  readonly told: string[] = [];
  run(): void {
    this.told.push("run");
  }
  events(more: readonly Event[]): void {
    assert.ok(this.told.includes("run"), "the run is told before its events");
    this.heard.push(...more.map(({ sequence }) => sequence));
  }
  reset(): void {
    this.heard.length = 0;
    this.told.push("reset");
  }
  output(stepId: string, stream: string, text: string): void {
    this.told.push(`${stepId} ${stream} ${text}`);
  }
  connection(state: string): void {
    this.told.push(state);
  }
  deleted(): void {
    this.told.push("deleted");
  }
}

/** Lets everything that is ready happen. */
const settle = () => new Promise<void>((resolve) => setImmediate(() => setImmediate(resolve)));
const upTo = (last: number) => Array.from({ length: last }, (_, n) => n + 1);

function following() {
  const server = new FakeServer();
  const later: (() => void)[] = [];
  const feed = new LiveRuns(server, { after: (_, action) => void later.push(action) });
  feed.connection("connected");
  return { server, feed, later };
}

test("a cursor takes what follows, passes over what it has, and stops at a gap", () => {
  const cursor = new Cursor();
  assert.deepEqual(cursor.take(events(1, 3)), { taken: events(1, 3), hasGap: false });
  assert.deepEqual(cursor.take(events(2, 4)), { taken: [event(4)], hasGap: false });
  assert.deepEqual(cursor.take(events(6, 7)), { taken: [], hasGap: true });
  assert.equal(cursor.last, 4);
});

test("a listener hears the past, then what is appended", async () => {
  const { server, feed } = following();
  server.append(3);
  const listener = new Listener();
  feed.follow("run", listener);
  await settle();
  server.append(2);
  assert.deepEqual(listener.heard, upTo(5));
});

test("after another connection a listener goes on from its cursor", async () => {
  const { server, feed } = following();
  server.append(3);
  const listener = new Listener();
  feed.follow("run", listener);
  await settle();
  server.isGone = true;
  feed.connection("reconnecting");
  server.append(4);
  server.isGone = false;
  feed.connection("connected");
  await settle();
  server.append(1);
  assert.deepEqual(listener.heard, upTo(8));
  assert.ok(server.asked.includes("subscribe 3"));
  assert.deepEqual(
    listener.told.filter((word) => word !== "run"),
    ["connected", "reconnecting", "connected"],
  );
});

test("a second listener gets everything, and the first nothing twice", async () => {
  const { server, feed } = following();
  server.append(3);
  const [first, second] = [new Listener(), new Listener()];
  feed.follow("run", first);
  await settle();
  feed.follow("run", second);
  // Comes while the second one's subscription is being made: too early for it, and right for the first.
  server.append(2);
  await settle();
  server.append(1);
  assert.deepEqual([first.heard, second.heard], [upTo(6), upTo(6)]);
});

test("a newcomer hears no event before it was told the run", async () => {
  const { server, feed } = following();
  const [first, second] = [new Listener(), new Listener()];
  feed.follow("run", first);
  await settle();
  let open: () => void = () => undefined;
  server.gate = new Promise((resolve) => (open = resolve));
  feed.follow("run", second);
  server.append(1);
  assert.deepEqual([first.heard, second.told], [[1], []]);
  open();
  await settle();
  assert.deepEqual(second.heard, [1]);
});

test("a gap, as after a batch that was lost, is filled", async () => {
  const { server, feed } = following();
  const listener = new Listener();
  feed.follow("run", listener);
  await settle();
  server.journal.push(...events(1, 5));
  server.tell("workflow/eventsAppended", { runId: "run", events: events(4, 5) });
  await settle();
  assert.deepEqual(listener.heard, upTo(5));
});

test("a listener that lagged is subscribed again", async () => {
  const { server, feed } = following();
  const listener = new Listener();
  feed.follow("run", listener);
  await settle();
  server.journal.push(...events(1, 2));
  server.tell("workflow/lagged", { runId: "run", lastSequence: 0 });
  await settle();
  assert.deepEqual(listener.heard, upTo(2));
});

test("a cursor ahead of the journal is of another store: everything comes anew", async () => {
  const { server, feed } = following();
  server.append(5);
  const listener = new Listener();
  feed.follow("run", listener);
  await settle();
  server.journal = events(1, 2);
  feed.connection("connected");
  await settle();
  assert.ok(listener.told.includes("reset"));
  assert.deepEqual(listener.heard, upTo(2));
});

test("a run whose root is deleted is told as deleted, once", async () => {
  const { server, feed } = following();
  const listener = new Listener();
  feed.follow("run", listener);
  await settle();
  server.tell("workflow/deleted", { runId: "another" });
  assert.ok(!listener.told.includes("deleted"));
  server.tell("workflow/deleted", { runId: "root" });
  assert.equal(listener.told.at(-1), "deleted");
});

test("the run is told again when its questions changed", async () => {
  const { server, feed } = following();
  const listener = new Listener();
  feed.follow("run", listener);
  await settle();
  const told = () => listener.told.filter((word) => word === "run").length;
  const before = told();
  const summary = { pending: 1, steps: {} };
  server.pending = 1;
  server.tell("workflow/statusChanged", { runId: "run", status: "running", summary });
  await settle();
  assert.equal(told(), before + 1);
  server.tell("workflow/statusChanged", { runId: "run", status: "running", summary });
  await settle();
  assert.equal(told(), before + 1, "nothing changed");
});

test("who leaves last ends the subscription, and hears nothing more", async () => {
  const { server, feed } = following();
  const listener = new Listener();
  const followed = feed.follow("run", listener);
  await settle();
  followed.dispose();
  server.append(1);
  await settle();
  assert.deepEqual(listener.heard, []);
  assert.equal(server.asked.at(-1), "unsubscribe");
});

test("live output reaches who follows the run", async () => {
  const { server, feed } = following();
  const listener = new Listener();
  feed.follow("run", listener);
  await settle();
  server.tell("workflow/output", {
    runId: "run",
    stepId: "tests",
    stream: "stdout",
    text: "12 passed",
    droppedBytes: 0,
  });
  assert.equal(listener.told.at(-1), "tests stdout 12 passed");
});
