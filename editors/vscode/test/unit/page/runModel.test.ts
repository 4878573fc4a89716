import assert from "node:assert/strict";
import { test } from "node:test";

import { applyEvents, EMPTY, type RunState } from "../../../src/page/model/runModel";
import { frozen, journal, running, START, step, stopped, type Told } from "./journal";

const read = (...told: Told[]): RunState => applyEvents(EMPTY, journal(...told));
const only = (state: RunState) => [...state.steps.values()][0]!;

const WHOLE = journal(
  { type: "status", status: "pending" },
  running,
  { type: "log", message: "starting", level: "info", data: { width: 2 } },
  { type: "phase", name: "build", details: { round: 1 } },
  step("build:0", "started", { title: "Build part 0", phase: "build", line: 8 }),
  step("build:1", "started", { title: "Build part 1", phase: "build", line: 8 }),
  step("build:1", "completed", { durationMs: 900 }),
  stopped("interrupted", { reason: "user" }),
  { type: "status", status: "running", previous: "interrupted", detail: "resume", after: 40_000 },
  step("build:0", "started", { attempt: 2, phase: "build", line: 8 }),
  step("build:0", "failed", { attempt: 2, error: { message: "no", code: "step" } }),
  { type: "result", result: { report: "# Done" } },
  stopped("completed"),
);

test("a journal gives the same state however it is cut", () => {
  const whole = applyEvents(EMPTY, WHOLE);
  for (const size of [1, 2, 3, 5]) {
    let state = EMPTY;
    for (let at = 0; at < WHOLE.length; at += size) state = applyEvents(state, WHOLE.slice(at, at + size));
    assert.deepEqual(state, whole);
  }
  assert.equal(whole.sequence, WHOLE.length);
  assert.equal(whole.status, "completed");
  assert.deepEqual(whole.result, { report: "# Done" });
});

test("events that were seen already change nothing", () => {
  const whole = applyEvents(EMPTY, WHOLE);
  assert.equal(applyEvents(whole, WHOLE.slice(3)), whole);
  const half = applyEvents(EMPTY, WHOLE.slice(0, 8));
  assert.deepEqual(applyEvents(half, WHOLE), whole);
});

test("the state before is left as it was", () => {
  let state = frozen(EMPTY);
  for (const event of WHOLE) state = frozen(applyEvents(state, [event]));
  assert.equal(state.status, "completed");
  assert.deepEqual(EMPTY.steps.size, 0);
});

test("an interrupt ends what was under way, and a resume is another go", () => {
  const state = applyEvents(EMPTY, WHOLE);
  assert.equal(state.executions.length, 2);
  const again = only(state);
  assert.deepEqual(
    again.attempts.map(({ status }) => status),
    ["interrupted", "failed"],
  );
  assert.equal(again.attempts[0]?.end, state.executions[0]?.end);
  assert.equal(again.error?.message, "no");
});

test("a step knows which execution finished it", () => {
  const steps = [...applyEvents(EMPTY, WHOLE).steps.values()];
  assert.deepEqual(
    steps.map(({ stepId, finishedIn }) => [stepId, finishedIn]),
    [
      ["build:0", 1],
      ["build:1", 0],
    ],
  );
});

test("the duration says when a step began, as its start is told with the next write", () => {
  const state = read(
    running,
    step("a", "started", { after: 10 }),
    step("a", "completed", { after: 10, durationMs: 4000 }),
  );
  assert.deepEqual(only(state).attempts, [{ start: START + 6_000, end: START + 10_000, status: "completed" }]);
});

test("an end without a start is a whole attempt", () => {
  const state = read(running, step("a", "failed", { after: 5, durationMs: 1000 }));
  assert.deepEqual(only(state).attempts, [{ start: START + 4_000, end: START + 5_000, status: "failed" }]);
});

test("a late result completes the attempt that the stop had ended", () => {
  const state = read(
    running,
    step("a", "started"),
    stopped("interrupted", { reason: "user" }),
    step("a", "completed", { late: true }),
  );
  const { status, late, attempts } = only(state);
  assert.deepEqual([status, late, attempts.length, attempts[0]?.status], ["completed", true, 1, "completed"]);
});

test("going on forgets why it failed", () => {
  const failed = [running, step("a", "failed", { error: { message: "x", code: "step" } })];
  const error = { type: "error", error: { message: "x", code: "step" } };
  const before = read(...failed, error, stopped("failed"));
  assert.equal(before.error?.message, "x");
  const after = read(...failed, error, stopped("failed"), running, step("a", "started", { attempt: 2 }));
  assert.equal(after.error, undefined);
  assert.deepEqual([only(after).status, only(after).error], ["running", undefined]);
});

test("a phase of the same name is another phase, and steps belong to the newest", () => {
  const round = (number: number): Told => ({ type: "phase", name: "verify", details: { round: number } });
  const state = read(
    running,
    step("before", "started"),
    round(1),
    step("one", "started", { phase: "verify" }),
    round(2),
    step("two", "started", { phase: "verify" }),
    step("elsewhere", "started", { phase: "other" }),
  );
  assert.deepEqual(
    state.phases.map(({ name, details }) => [name, details]),
    [
      ["", ""],
      ["verify", "round=1"],
      ["verify", "round=2"],
      ["other", ""],
    ],
  );
  assert.deepEqual(
    [...state.steps.values()].map(({ phase }) => phase),
    [0, 1, 2, 3],
  );
});

test("one step id with other input is another step", () => {
  const state = read(running, step("a", "completed", { key: "1" }), step("a", "started", { key: "2" }));
  assert.deepEqual(
    [...state.steps.values()].map(({ status }) => status),
    ["completed", "running"],
  );
});

test("a nested run belongs to the step that made it", () => {
  const child = { type: "child", stepId: "a", childRunId: "run_child", status: "pending" };
  const state = read(running, step("a", "started", { kind: "workflow" }), child);
  assert.equal(only(state).childRunId, "run_child");
});

test("what is said about a step stands beside it", () => {
  const state = read(
    running,
    step("a", "started"),
    { type: "validation", stepId: "a", key: "k", attempt: 1, problems: [{ path: "/n", message: "not a number" }] },
    { type: "timeout", stepId: "a", key: "k", stage: "hard", limitMs: 2000 },
  );
  assert.deepEqual(only(state).notes, ["Answer 1 did not fit: /n: not a number", "Stopped at the time limit of 2 s"]);
});

test("logs keep their data, and moving to the background is an attention", () => {
  const state = read(
    running,
    { type: "log", message: "half", level: "warning", data: { done: 3, of: "x" } },
    { type: "attention", attention: "notifyOnTerminal" },
  );
  assert.deepEqual(
    state.logs.map(({ level, text }) => [level, text]),
    [["warning", "half  (done=3, of=x)"]],
  );
  assert.equal(state.attention, "notifyOnTerminal");
});

test("an event of a later version is counted and passed over", () => {
  const state = read(running, { type: "somethingNew", what: 1 }, step("a", "stepWordOfLater"));
  assert.equal(state.sequence, 3);
  assert.equal(only(state).status, "interrupted");
});
