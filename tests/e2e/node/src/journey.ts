/**
 * A host's whole journey: `node journey.js FOLDER SERVER-COMMAND ...`.
 *
 * Prints the name of each chapter it got through; exit code 1 and the reason when one fails.
 */

import assert from "node:assert/strict";
import { CancellationTokenSource } from "vscode-jsonrpc/node";

import type { Event, RunOutcome, RunStarted } from "../../../../protocol/schema/sidestep";
import { type Host, refusal } from "./host";
import { Place } from "./place";

/** For a server that hangs only. */
const PATIENCE_MS = 60_000;

function outcomeOf(answer: RunOutcome | RunStarted): RunOutcome {
  assert("steps" in answer, "a waiting request is answered with an outcome");
  return answer;
}

function startedOf(answer: RunOutcome | RunStarted): RunStarted {
  assert("created" in answer, "a background request is answered at once");
  return answer;
}

/** Sequences go 1, 2, 3 ...: no gap, no duplicate. */
function assertWhole(events: Event[], last: number): void {
  assert.deepEqual(
    events.map((event) => event.sequence),
    Array.from({ length: last }, (_, index) => index + 1),
  );
}

/** The run of a start key, as soon as it is told. */
async function runOf(host: Host, startKey: string): Promise<string> {
  return host.told((notice) =>
    notice.method === "workflow/statusChanged" && notice.params.startKey === startKey ? notice.params.runId : undefined,
  );
}

async function handshake(place: Place): Promise<void> {
  const host = await place.open();
  assert.equal(host.server?.protocolVersion, 1);
  assert(host.server.storeId !== null);
  assert(host.server.features.includes("subscribe"));
  // A second one is refused, and says so in a word that the types know.
  const { code, data } = await refusal(host.request("initialize", { processId: null, rootUri: null }));
  assert.deepEqual([code, data.reason], [-32600, "reinitialize"]);
  assert.deepEqual(await host.leave(), { code: 0, signal: null });
}

async function exitCodes(place: Place): Promise<void> {
  const host = await place.open();
  const health = await host.request("workflow/health", {});
  assert.deepEqual([health.status, health.activeRuns], ["ok", 0]);
  // `exit` without `shutdown`.
  await host.notify("exit", {});
  assert.deepEqual(await host.end(), { code: 1, signal: null });
}

async function startWithEventsAndProgress(host: Host, place: Place): Promise<void> {
  const params = place.gated("one");
  const waiting = host.request("workflow/start", { ...params, events: true, workDoneToken: "t", label: "first" });
  const runId = await runOf(host, "one");
  await host.stepStarted(runId, "gated");
  await place.openGate("one");
  const outcome = outcomeOf(await waiting);
  // What came before the answer: the response is the last of all (G4).
  const told = [...host.notices];
  assert.deepEqual(outcome.result, { report: "through one", data: { "my-key": "one" } });
  assert.deepEqual([outcome.runId, outcome.status, outcome.steps.completed], [runId, "completed", 2]);

  const statuses = told.flatMap((notice) => (notice.method === "workflow/statusChanged" ? [notice.params] : []));
  assert.deepEqual([statuses[0]?.status, statuses[0]?.sequence, statuses[0]?.label], ["pending", 1, "first"]);
  assert.equal(told[0]?.method, "workflow/statusChanged");
  assert.deepEqual(
    told.slice(-2).map((notice) => notice.method),
    ["workflow/statusChanged", "$/progress"],
  );
  const values = told.flatMap((notice) => (notice.method === "$/progress" ? [notice.params] : []));
  assert(values.every((progress) => progress.token === "t"));
  const kinds = values.map((progress) => (progress.value as { kind: string }).kind);
  assert.deepEqual([kinds[0], kinds.at(-1)], ["begin", "end"]);

  assertWhole(host.eventsOf(runId), outcome.sequence);
  const journal = await host.request("workflow/events", { runId });
  assert.deepEqual(journal.events, host.eventsOf(runId));
  assert.deepEqual([journal.lastSequence, journal.hasMore], [outcome.sequence, false]);
}

async function cancelByToken(host: Host, place: Place): Promise<void> {
  const source = new CancellationTokenSource();
  const waiting = host.request("workflow/start", { ...place.gated("two"), events: true }, source.token);
  const runId = await runOf(host, "two");
  await host.stepStarted(runId, "gated");
  source.cancel();
  const { code, data } = await refusal(waiting);
  assert.equal(code, -32800);
  assert(data.reason === "requestCancelled");
  assert.deepEqual([data.runId, data.status, data.resumable, data.quiescent], [runId, "interrupted", true, true]);
  const { run } = await host.request("workflow/get", { runId });
  assert.deepEqual([run.status, run.reason, run.owner], ["interrupted", "cancelled", undefined]);

  // A token that was cancelled before: no run, or one that is interrupted; never one that goes on.
  const early = await refusal(host.request("workflow/start", place.gated("early"), source.token));
  assert(early.data.reason === "requestCancelled");
  assert(early.data.runId === null || early.data.status === "interrupted");
}

async function resumeKeepsSteps(host: Host, place: Place): Promise<void> {
  const runId = await runOf(host, "two");
  const waiting = host.request("workflow/resume", { runId, events: true });
  await host.stepStarted(runId, "gated", 2);
  await place.openGate("two");
  const outcome = outcomeOf(await waiting);
  assert.deepEqual([outcome.status, outcome.result?.report], ["completed", "through two"]);
  assert.deepEqual([outcome.steps.completed, outcome.steps.reused, place.timesRan("two")], [2, 1, 1]);
}

async function interruptAnswersWhoWaits(host: Host, place: Place): Promise<void> {
  const waiting = host.request("workflow/start", { ...place.gated("three"), events: true });
  const runId = await runOf(host, "three");
  await host.stepStarted(runId, "gated");
  const stopped = await host.request("workflow/interrupt", { runId });
  assert.deepEqual([stopped.status, stopped.alreadyTerminal, stopped.quiescent], ["interrupted", false, true]);
  const outcome = outcomeOf(await waiting);
  assert.deepEqual([outcome.status, outcome.reason], ["interrupted", "user"]);
  const again = await host.request("workflow/interrupt", { runId });
  assert.equal(again.sequence, stopped.sequence);
}

async function backgroundReleasesTheWaiter(host: Host, place: Place): Promise<void> {
  const waiting = host.request("workflow/start", { ...place.gated("four"), events: true });
  const runId = await runOf(host, "four");
  await host.stepStarted(runId, "gated");
  assert.equal((await host.request("workflow/background", { runId })).status, "backgrounded");
  assert.equal(outcomeOf(await waiting).status, "backgrounded");
  await place.openGate("four");
  assert.equal((await host.status(runId, "completed")).attention, "notifyOnTerminal");
  assert.equal(place.timesRan("four"), 1);
}

async function subscribeFromACursor(host: Host, place: Place): Promise<void> {
  const started = startedOf(await host.request("workflow/start", { ...place.gated("five"), mode: "background" }));
  const { runId } = started;
  assert.equal(started.created, true);
  const past = await host.request("workflow/subscribe", { runId });
  assert.equal(past.liveFromSequence, past.events.length + 1);
  if (!past.events.some((event) => event.type === "step" && event.stepId === "gated")) {
    await host.stepStarted(runId, "gated");
  }
  const known = [...past.events, ...host.eventsOf(runId)];
  await host.request("workflow/unsubscribe", { runId });

  const live = host.eventsOf(runId).length;
  const rest = await host.request("workflow/subscribe", { runId, afterSequence: known.length });
  await place.openGate("five");
  const { sequence } = await host.status(runId, "completed");
  await host.told((notice) =>
    notice.method === "workflow/eventsAppended" && notice.params.events.at(-1)?.sequence === sequence ? true : undefined,
  );
  assertWhole([...known, ...rest.events, ...host.eventsOf(runId).slice(live)], sequence);
}

async function listGetAndSteps(host: Host, place: Place): Promise<void> {
  const first = await host.request("workflow/list", { workspaceFolder: place.uri, status: ["completed"], limit: 2 });
  assert.equal(first.runs.length, 2);
  assert(first.nextCursor !== null);
  const rest = await host.request("workflow/list", { status: ["completed"], cursor: first.nextCursor });
  assert.deepEqual([rest.runs.at(-1)?.label, rest.nextCursor], ["first", null]);

  const runId = await runOf(host, "two");
  const { run, pending } = await host.request("workflow/get", { runId, include: ["args", "result", "source"] });
  assert.deepEqual([run.args, run.result?.data, pending], [{ gate: "two" }, { "my-key": "two" }, []]);
  assert(run.source?.includes("async def main(gate: str)"));
  const { steps, nextCursor } = await host.request("workflow/steps", { runId, outputs: true });
  assert.deepEqual(
    steps.map((step) => [step.stepId, step.kind, step.status, step.reused]),
    [
      ["first", "command", "completed", true],
      ["gated", "command", "completed", false],
    ],
  );
  assert.equal((steps[1]?.output as { stdout: string }).stdout, "go");
  assert.equal(nextCursor, null);
}

async function refusalsAreTyped(host: Host, place: Place): Promise<void> {
  const absent = await refusal(host.request("workflow/get", { runId: "run_absent" }));
  assert(absent.data.reason === "runNotFound");
  assert.deepEqual([absent.code, absent.data.runId], [-31002, "run_absent"]);
  const { script } = place.gated("never");
  const unfit = await refusal(host.request("workflow/start", { script, args: { gatte: 1 } }));
  assert(unfit.data.reason === "argsInvalid");
  assert.deepEqual(unfit.data.problems.map((problem) => problem.path).sort(), ["/gate", "/gatte"]);
}

async function crashAndReconnect(place: Place): Promise<void> {
  const first = await place.open();
  const { runId } = startedOf(
    await first.request("workflow/start", { ...place.gated("six"), mode: "background", events: true }),
  );
  await first.stepStarted(runId, "gated");
  const known = first.eventsOf(runId);
  first.kill();
  assert.deepEqual(await first.end(), { code: null, signal: "SIGKILL" });

  const second = await place.open();
  const { runs } = await second.request("workflow/list", { status: ["interrupted"] });
  const found = runs.find((run) => run.runId === runId);
  assert.equal(found?.reason, "crash");
  const past = await second.request("workflow/subscribe", { runId, afterSequence: known.length });
  const waiting = second.request("workflow/resume", { runId });
  await second.stepStarted(runId, "gated", 2);
  await place.openGate("six");
  const outcome = outcomeOf(await waiting);
  assert.deepEqual([outcome.status, outcome.steps.reused, place.timesRan("six")], ["completed", 1, 1]);
  await second.told((notice) =>
    notice.method === "workflow/eventsAppended" && notice.params.events.at(-1)?.sequence === outcome.sequence
      ? true
      : undefined,
  );
  assertWhole([...known, ...past.events, ...second.eventsOf(runId)], outcome.sequence);
  assert.deepEqual(await second.leave(), { code: 0, signal: null });
}

async function shutdownInterruptsRuns(host: Host, place: Place): Promise<void> {
  const waiting = refusal(host.request("workflow/start", { ...place.gated("seven"), events: true }));
  const runId = await runOf(host, "seven");
  await host.stepStarted(runId, "gated");
  assert.deepEqual(await host.leave(), { code: 0, signal: null });
  const { code, data } = await waiting;
  assert.deepEqual([code, data.reason], [-32802, "serverDraining"]);
}

async function journey(folder: string, server: string[]): Promise<void> {
  const place = new Place(folder, server);
  await chapter("handshake", () => handshake(place));
  await chapter("exit codes", () => exitCodes(place));
  const host = await place.open();
  await chapter("start with events and progress", () => startWithEventsAndProgress(host, place));
  await chapter("cancel by token", () => cancelByToken(host, place));
  await chapter("resume keeps steps", () => resumeKeepsSteps(host, place));
  await chapter("interrupt answers who waits", () => interruptAnswersWhoWaits(host, place));
  await chapter("background releases the waiter", () => backgroundReleasesTheWaiter(host, place));
  await chapter("subscribe from a cursor", () => subscribeFromACursor(host, place));
  await chapter("list, get and steps", () => listGetAndSteps(host, place));
  await chapter("refusals are typed", () => refusalsAreTyped(host, place));
  await chapter("crash and reconnect", () => crashAndReconnect(place));
  await chapter("shutdown interrupts runs", () => shutdownInterruptsRuns(host, place));
}

async function chapter(name: string, tell: () => Promise<void>): Promise<void> {
  await tell();
  console.log(name);
}

function fail(why: unknown): never {
  console.error(why);
  process.exit(1);
}

const [folder, ...server] = process.argv.slice(2);
if (folder === undefined) fail("usage: journey.js FOLDER SERVER-COMMAND ...");
setTimeout(() => fail("the journey takes too long"), PATIENCE_MS).unref();
journey(folder, server).catch(fail);
