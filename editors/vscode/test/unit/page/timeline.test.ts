import assert from "node:assert/strict";
import { test } from "node:test";

import { rowsOf } from "../../../src/page/model/rows";
import { applyEvents, EMPTY } from "../../../src/page/model/runModel";
import { bar, timeAxis } from "../../../src/page/model/timeAxis";
import { journal, running, step, stopped } from "./journal";

test("bars of parallel steps overlap, of steps one after the other they do not", () => {
  const axis = timeAxis([{ start: 0, end: 100 }], 0);
  const [one, beside, next] = [bar(axis, 0, 50), bar(axis, 10, 60), bar(axis, 60, 100)];
  assert.ok(beside.left < one.left + one.width);
  assert.ok(next.left >= beside.left + beside.width);
  assert.equal(next.left + next.width, 1);
});

test("the hours a run was stopped take a sliver, not the page", () => {
  const night = 8 * 3_600_000;
  const axis = timeAxis([{ start: 0, end: 1000 }, { start: night, end: night + 1000 }], 0);
  assert.equal(axis.activeMs, 2000);
  assert.ok(bar(axis, 0, 1000).width > 0.45);
  assert.ok(bar(axis, night, night + 1000).width > 0.45);
  assert.equal(axis.gaps.length, 1);
  const [gap] = axis.gaps;
  assert.ok(axis.position(1000) < gap! && gap! < axis.position(night));
  // What falls into the gap is as wide as nothing.
  assert.equal(bar(axis, 2000, night - 1).width, 0);
});

test("an active run reaches to now, and a run that never ran has nothing", () => {
  assert.equal(timeAxis([{ start: 0 }], 500).activeMs, 500);
  assert.deepEqual(bar(timeAxis([{ start: 0 }], 500), 250, 500), { left: 0.5, width: 0.5 });
  assert.deepEqual(bar(timeAxis([], 500), 250, 500), { left: 0, width: 0 });
});

test("a hundred executions leave most of the width to bars", () => {
  const executions = Array.from({ length: 100 }, (_, index) => ({ start: index * 1000, end: index * 1000 + 10 }));
  const axis = timeAxis(executions, 0);
  const bars = executions.reduce((sum, { start, end }) => sum + bar(axis, start, end).width, 0);
  assert.ok(bars > 0.69);
});

const PARENT = applyEvents(
  EMPTY,
  journal(
    running,
    { type: "phase", name: "build" },
    step("a", "completed", { phase: "build" }),
    stopped("interrupted"),
    running,
    step("b", "started", { kind: "workflow", phase: "build" }),
    { type: "child", stepId: "b", childRunId: "child", status: "pending" },
  ),
);
const CHILD = applyEvents(EMPTY, journal(running, step("inner", "failed")));

test("rows are phases, their steps, and an opened child's below its step", () => {
  const runs = new Map([
    ["root", PARENT],
    ["child", CHILD],
  ]);
  const shape = (opened: string[]) =>
    rowsOf("root", runs, new Set(opened)).map((row) =>
      row.kind === "step" ? [row.level, row.step.stepId, row.expanded] : [row.level, row.kind, undefined],
    );
  const closed = [
    [1, "phase", undefined],
    [2, "a", undefined],
    [2, "b", false],
  ];
  assert.deepEqual(shape([]), closed);
  assert.deepEqual(shape(["child"]), [...closed.slice(0, 2), [2, "b", true], [3, "inner", undefined]]);
  runs.delete("child");
  assert.deepEqual(shape(["child"]).at(-1), [3, "waiting", undefined]);
});

test("a step is kept when an earlier execution of its own run finished it", () => {
  const runs = new Map([
    ["root", PARENT],
    ["child", CHILD],
  ]);
  const kept = rowsOf("root", runs, new Set(["child"])).filter((row) => row.kind === "step" && row.kept);
  assert.deepEqual(
    kept.map((row) => row.kind === "step" && row.step.stepId),
    ["a"],
  );
});

test("a phase says how many of its steps failed and run", () => {
  const [phase] = rowsOf("root", new Map([["root", PARENT]]), new Set());
  assert.ok(phase?.kind === "phase");
  assert.deepEqual([phase.steps, phase.failed, phase.running], [2, 0, 1]);
});

test("every row has an id of its own", () => {
  const runs = new Map([
    ["root", PARENT],
    ["child", applyEvents(EMPTY, journal(running, { type: "phase", name: "build" }, step("a", "started")))],
  ]);
  const ids = rowsOf("root", runs, new Set(["child"])).map(({ id }) => id);
  assert.equal(new Set(ids).size, ids.length);
});
