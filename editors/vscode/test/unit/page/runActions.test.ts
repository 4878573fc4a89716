import assert from "node:assert/strict";
import { test } from "node:test";

import type { RunDetail } from "../../../../../protocol/schema/sidestep";
import { buttonsOf, hintOf } from "../../../src/page/model/runActions";
import { applyEvents, EMPTY, type RunState } from "../../../src/page/model/runModel";
import { journal, running, step, stopped, type Told } from "./journal";

const ROOT = { runId: "run_a", attention: "blocking" } as RunDetail;
const read = (...told: Told[]): RunState => applyEvents(EMPTY, journal(running, ...told));
const names = (state: RunState, edited = false, run = ROOT) =>
  buttonsOf(run, state, edited).map((button) => button.name);

test("a run that somebody waits for can be interrupted and moved to the background", () => {
  assert.deepEqual(names(read()), ["interrupt", "background", "openScript"]);
  const moved = read({ type: "attention", attention: "notifyOnTerminal" }, stopped("backgrounded"));
  assert.deepEqual(names(moved), ["interrupt", "openScript"]);
  const nobodyWaits = { ...ROOT, attention: "notifyOnTerminal" };
  assert.deepEqual(names(read(), false, nobodyWaits), ["interrupt", "openScript"]);
  const movedBack = read({ type: "attention", attention: "blocking" });
  assert.deepEqual(names(movedBack, false, nobodyWaits), ["interrupt", "background", "openScript"]);
});

test("an interrupted run continues, with the edited script when there is one", () => {
  const state = read(step("a", "completed"), stopped("interrupted", { reason: "user" }));
  assert.deepEqual(names(state), ["continue", "rerun", "openScript"]);
  assert.deepEqual(names(state, true), ["continueEdited", "continue", "rerun", "openScript"]);
  assert.match(buttonsOf(ROOT, state, false)[0]!.title, /1 finished step is kept/);
});

test("a script that failed by itself is not asked to fail again", () => {
  const state = read({ type: "error", error: { message: "KeyError", code: "script", line: 3 } }, stopped("failed"));
  assert.deepEqual(names(state), ["rerun", "openScript"]);
  assert.match(hintOf(state, false), /save it/);
  assert.deepEqual(names(state, true), ["continueEdited", "rerun", "openScript"]);
  assert.equal(hintOf(state, true), "");
});

test("a failed step can be done again", () => {
  const state = read({ type: "error", error: { message: "x", code: "step", stepId: "a" } }, stopped("failed"));
  assert.deepEqual(names(state), ["continue", "rerun", "openScript"]);
  assert.equal(hintOf(state, false), "");
});

test("a completed run is over, and a nested one goes with its root", () => {
  assert.deepEqual(names(read(stopped("completed"))), ["rerun", "openScript"]);
  const child = { ...ROOT, parentRunId: "run_root" };
  assert.deepEqual(names(read(), false, child), ["interrupt", "openScript"]);
  assert.deepEqual(names(read(stopped("interrupted")), true, child), ["openScript"]);
});
