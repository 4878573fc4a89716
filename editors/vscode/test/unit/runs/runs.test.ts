import assert from "node:assert/strict";
import { test } from "node:test";
import type {
  ListParams,
  RunSummary,
  StepSummary,
  WorkflowNotifications,
} from "../../../../../protocol/schema/sidestep";
import type { Wire } from "../../../src/feed/wire";
import { ageText, durationText } from "../../../src/runs/durations";
import { RunList } from "../../../src/runs/runList";
import { phaseDescription, phasesOf, runDescription, stepDescription } from "../../../src/runs/treeModel";
import { statusText } from "../../../src/ui/statusText";

const AT = "2026-01-31T09:30:00.000Z";
const NOW = Date.parse(AT) + 60_000;

function run(id: string, status: string, minute: number, more: Partial<RunSummary> = {}): RunSummary {
  const createdAt = new Date(Date.parse(AT) + minute * 60_000).toISOString();
  const steps = { completed: 0, reused: 0, failed: 0, running: 0 };
  return {
    runId: id,
    rootRunId: id,
    name: id,
    workspaceFolder: "file:///a",
    status,
    attention: "blocking",
    createdAt,
    updatedAt: createdAt,
    sequence: 1,
    steps,
    pending: 0,
    ...more,
  };
}

function step(id: string, more: Partial<StepSummary> = {}): StepSummary {
  return {
    stepId: id,
    kind: "command",
    key: id,
    status: "completed",
    attempt: 1,
    startedAt: AT,
    endedAt: "2026-01-31T09:30:02.000Z",
    reused: false,
    ...more,
  };
}

/** Answers lists from what is stored, two runs a page. */
class FakeWire {
  readonly handlers = new Map<string, (params: never) => void>();
  readonly asked: ListParams[] = [];
  constructor(readonly stored: RunSummary[]) {}

  onNotification<M extends keyof WorkflowNotifications>(
    method: M,
    handler: (params: WorkflowNotifications[M]["params"]) => void,
  ): void {
    this.handlers.set(method, handler as (params: never) => void);
  }
  tell(method: keyof WorkflowNotifications, params: unknown): void {
    this.handlers.get(method)?.(params as never);
  }
  request(method: string, params: ListParams & { runId?: string }): Promise<unknown> {
    if (method === "workflow/get")
      return Promise.resolve({ run: this.stored.find(({ runId }) => runId === params.runId), pending: [] });
    this.asked.push(params);
    const isActive = (status: string): boolean => ["pending", "running", "backgrounded"].includes(status);
    const fitting = this.stored
      .filter((one) => !params.workspaceFolder || one.workspaceFolder === params.workspaceFolder)
      .filter(
        (one) =>
          !params.status ||
          params.status.some((word) => (word === "active" ? isActive(one.status) : word === one.status)),
      )
      .sort((a, b) => (a.createdAt < b.createdAt ? 1 : -1));
    const from = Number(params.cursor ?? 0);
    const page = params.status?.includes("active") ? fitting : fitting.slice(from, from + 2);
    return Promise.resolve({ runs: page, nextCursor: from + page.length < fitting.length ? String(from + 2) : null });
  }
}

function listed(stored: RunSummary[], folders = ["file:///a"]) {
  const wire = new FakeWire(stored);
  return { wire, list: new RunList(wire as unknown as Wire, () => folders) };
}
const ids = (runs: readonly RunSummary[]) => runs.map(({ runId }) => runId);
const settle = () => new Promise<void>((resolve) => setImmediate(resolve));

test("active runs stand first however old they are, then the newest", async () => {
  const { list } = listed([
    run("old", "running", 0),
    run("a", "completed", 1),
    run("b", "failed", 2),
    run("c", "interrupted", 3),
  ]);
  await list.reload();
  assert.deepEqual(ids(list.sorted), ["old", "c", "b"]);
  assert.ok(list.hasMore);
  await list.loadMore();
  assert.deepEqual(ids(list.sorted), ["old", "c", "b", "a"]);
  assert.ok(!list.hasMore);
});

test("several folders are listed together, each with its pages", async () => {
  const stored = [1, 2, 3].flatMap((n) => [
    run(`a${n}`, "completed", n),
    run(`b${n}`, "completed", n + 10, { workspaceFolder: "file:///b" }),
  ]);
  const { list } = listed(
    [...stored, run("x", "completed", 99, { workspaceFolder: "file:///x" })],
    ["file:///a", "file:///b"],
  );
  await list.reload();
  await list.loadMore();
  assert.deepEqual(ids(list.sorted), ["b3", "b2", "b1", "a3", "a2", "a1"]);
});

test("what is told changes the list; a run that is not known is fetched", async () => {
  const { wire, list } = listed([run("a", "running", 1)]);
  await list.reload();
  let told = 0;
  list.onDidChange(() => (told += 1));
  const summary = { steps: { completed: 3, reused: 1, failed: 0, running: 0 }, pending: 2, phase: "verify" };
  wire.tell("workflow/statusChanged", {
    runId: "a",
    status: "running",
    sequence: 5,
    at: AT,
    attention: "blocking",
    summary,
  });
  assert.deepEqual([list.get("a")?.steps.completed, list.get("a")?.pending, list.get("a")?.phase], [3, 2, "verify"]);
  wire.stored.push(run("b", "pending", 2));
  wire.tell("workflow/statusChanged", {
    runId: "b",
    status: "pending",
    sequence: 1,
    at: AT,
    attention: "blocking",
    summary,
  });
  await settle();
  assert.deepEqual(ids(list.active), ["b", "a"]);
  assert.equal(told, 2);
  wire.tell("workflow/deleted", { runId: "b" });
  assert.deepEqual(ids(list.sorted), ["a"]);
});

test("a word that is older than what is known changes nothing", async () => {
  const { wire, list } = listed([run("a", "completed", 1, { sequence: 9 })]);
  await list.reload();
  const summary = { steps: { completed: 0, reused: 0, failed: 0, running: 1 }, pending: 0 };
  wire.tell("workflow/statusChanged", {
    runId: "a",
    status: "running",
    sequence: 4,
    at: AT,
    attention: "blocking",
    summary,
  });
  assert.equal(list.get("a")?.status, "completed");
});

test("a filter goes to the server, and holds for what is told later", async () => {
  const { wire, list } = listed([run("report", "failed", 1), run("release", "completed", 2)]);
  await list.reload({ text: "rep", statuses: ["failed"] });
  assert.deepEqual(wire.asked.at(-1), { limit: 30, text: "rep", status: ["failed"], workspaceFolder: "file:///a" });
  wire.stored.push(run("other", "failed", 3));
  const summary = { steps: { completed: 0, reused: 0, failed: 1, running: 0 }, pending: 0 };
  wire.tell("workflow/statusChanged", {
    runId: "other",
    status: "failed",
    sequence: 2,
    at: AT,
    attention: "blocking",
    summary,
  });
  await settle();
  assert.deepEqual(ids(list.sorted), ["report"]);
});

test("steps are grouped by phase, in the order of their first steps", () => {
  const groups = phasesOf([
    step("a"),
    step("b", { phase: "one" }),
    step("c", { phase: "two" }),
    step("d", { phase: "one", status: "started" }),
  ]);
  assert.deepEqual(
    groups.map(({ name, steps }) => [name, steps.map(({ stepId }) => stepId)]),
    [
      ["", ["a"]],
      ["one", ["b", "d"]],
      ["two", ["c"]],
    ],
  );
  assert.equal(phaseDescription(groups[1] ?? assert.fail()), "1 of 2");
});

test("a run says how far it is, and why it stopped", () => {
  const steps = { completed: 3, reused: 2, failed: 0, running: 2 };
  assert.equal(
    runDescription(run("a", "running", 0, { steps, phase: "verify", pending: 1 }), NOW),
    "running · 3 of 5 steps · a question · verify",
  );
  const ended = run("a", "interrupted", 0, { reason: "crash", endedAt: "2026-01-31T09:30:12.000Z" });
  assert.equal(runDescription(ended, NOW + 3_600_000), "interrupted (the server died) · 12 s · 1 h ago");
});

test("a step says that it was kept, or how often it was tried", () => {
  assert.equal(stepDescription(step("a", { reused: true }), NOW), "kept · 2.0 s");
  assert.equal(stepDescription(step("a", { status: "failed", attempt: 2 }), NOW), "failed · 2.0 s · attempt 2");
  assert.equal(stepDescription(step("a", { status: "started", endedAt: undefined }), NOW), "running · 1 min 0 s");
});

test("durations and ages are told as people tell them", () => {
  assert.deepEqual([0, 340, 9_960, 59_400, 65_000, 7_440_000].map(durationText), [
    "0.0 s",
    "0.3 s",
    "10 s",
    "59 s",
    "1 min 5 s",
    "2 h 4 min",
  ]);
  assert.deepEqual([0, 300_000, 10_800_000, 86_400_000, 172_800_000].map(ageText), [
    "now",
    "5 min ago",
    "3 h ago",
    "yesterday",
    "2 days ago",
  ]);
});

test("the status bar counts active runs, and says what needs a person", () => {
  const running = { kind: "running", capability: {} as never, server: "" } as const;
  assert.equal(statusText(running, []), undefined);
  assert.equal(statusText(running, [{ pending: 0 }, { pending: 0 }])?.text, "$(sync~spin) 2 runs");
  assert.equal(statusText(running, [{ pending: 2 }])?.tooltip, "Sidestep: 1 run active, 2 questions to answer");
  assert.equal(statusText({ kind: "stopped", problem: "not installed" }, [])?.tooltip, "not installed");
  assert.equal(statusText({ kind: "stopped" }, []), undefined);
});

test("what is told while the list is read is newer than the list", async () => {
  const { wire, list } = listed([run("a", "running", 1)]);
  await list.reload();
  const request = wire.request.bind(wire);
  let open: () => void = () => undefined;
  const gate = new Promise<void>((resolve) => (open = resolve));
  // Both pages were read in the store before what is told then, and come after it.
  wire.request = async (method, params) => {
    const answer = structuredClone(await request(method, params));
    if (method === "workflow/list") await gate;
    return answer;
  };
  const reloading = list.reload();
  await settle();
  const summary = { steps: { completed: 3, reused: 0, failed: 0, running: 0 }, pending: 0 };
  const told = { at: AT, attention: "blocking", summary };
  wire.tell("workflow/statusChanged", { ...told, runId: "a", status: "completed", sequence: 9 });
  wire.stored.push(run("b", "completed", 2));
  wire.tell("workflow/statusChanged", { ...told, runId: "b", status: "completed", sequence: 4 });
  await settle();
  open();
  await reloading;
  assert.deepEqual(
    list.sorted.map(({ runId, status }) => `${runId} ${status}`),
    ["b completed", "a completed"],
  );
});
