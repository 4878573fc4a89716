import assert from "node:assert/strict";
import { test } from "node:test";
import type { RunTaskParams, RunTaskResult } from "../../../../../protocol/schema/sidestep";
import { converse, instructions, resultOf, type Chat, type Reply } from "../../../src/agent/conversation";
import { HostTasks, type Withdrawal } from "../../../src/agent/hostTasks";

const TASK: RunTaskParams = {
  taskId: "task_1",
  runId: "run",
  stepId: "think",
  inputHash: "h",
  attempt: 1,
  redelivery: false,
  prompt: "Think.",
  cwd: "/shop",
};

class Token implements Withdrawal {
  isCancellationRequested = false;
  private listeners: (() => void)[] = [];
  onCancellationRequested(listener: () => void) {
    this.listeners.push(listener);
    return { dispose: () => (this.listeners = this.listeners.filter((one) => one !== listener)) };
  }
  cancel(): void {
    this.isCancellationRequested = true;
    for (const listener of this.listeners) listener();
  }
}

function counting() {
  const works: { resolve: (result: RunTaskResult) => void; reject: (error: Error) => void; signal: AbortSignal }[] = [];
  const tasks = new HostTasks((_, signal) => new Promise((resolve, reject) => works.push({ resolve, reject, signal })));
  return { works, tasks };
}

test("a task that is delivered twice is done once, while it works and afterwards", async () => {
  const { works, tasks } = counting();
  const first = tasks.run(TASK, new Token());
  const second = tasks.run({ ...TASK, redelivery: true }, new Token());
  works[0]?.resolve({ report: "done" });
  assert.deepEqual(await Promise.all([first, second, tasks.run(TASK, new Token())]), [
    { report: "done" },
    { report: "done" },
    { report: "done" },
  ]);
  assert.equal(works.length, 1);
});

test("a withdrawn task is stopped and forgotten; asked again it begins anew", async () => {
  const { works, tasks } = counting();
  const token = new Token();
  const first = tasks.run(TASK, token);
  token.cancel();
  assert.ok(works[0]?.signal.aborted);
  works[0]?.reject(new Error("aborted"));
  await assert.rejects(first, /aborted/);
  void tasks.run(TASK, new Token());
  assert.equal(works.length, 2);
});

test("a failure is not remembered", async () => {
  const { works, tasks } = counting();
  const first = tasks.run(TASK, new Token());
  works[0]?.reject(new Error("no model"));
  await assert.rejects(first, /no model/);
  void tasks.run(TASK, new Token());
  assert.equal(works.length, 2);
});

/** A model that says what it is told to say, in turn. */
class FakeChat implements Chat {
  readonly said: unknown[] = [];
  readonly used: string[] = [];
  constructor(private readonly replies: Reply[]) {}
  say(said: unknown): Promise<Reply> {
    this.said.push(said);
    return Promise.resolve(this.replies[Math.min(this.said.length, this.replies.length) - 1] as Reply);
  }
  use({ name }: { name: string }): Promise<unknown> {
    this.used.push(name);
    return Promise.resolve(`${name} said`);
  }
}
const call = (name: string) => ({ name, callId: `${name}-1`, input: {} });

test("tools are used until the model answers", async () => {
  const chat = new FakeChat([
    { text: "", calls: [call("read"), call("search")] },
    { text: "Found.", calls: [] },
  ]);
  const told: string[] = [];
  const result = await converse(TASK, chat, new AbortController().signal, (message) => told.push(message));
  assert.deepEqual(result, { report: "Found." });
  assert.deepEqual(chat.used, ["read", "search"]);
  assert.deepEqual(told, ["uses read", "uses search"]);
  assert.deepEqual(chat.said[1], [
    { call: call("read"), result: "read said" },
    { call: call("search"), result: "search said" },
  ]);
});

test("a model that calls tools for ever is stopped", async () => {
  const chat = new FakeChat([{ text: "", calls: [call("read")] }]);
  await assert.rejects(
    converse(TASK, chat, new AbortController().signal, () => undefined),
    /60 times in a row/,
  );
});

test("a withdrawn task uses no further tool", async () => {
  const controller = new AbortController();
  const chat = new FakeChat([{ text: "", calls: [call("read")] }]);
  controller.abort();
  await assert.rejects(converse(TASK, chat, controller.signal, () => undefined));
  assert.deepEqual(chat.used, []);
});

test("a schema stands in the instructions, and the folder too", () => {
  const said = instructions({ ...TASK, schema: { type: "object" } });
  assert.match(said, /^Think\./);
  assert.match(said, /\/shop/);
  assert.match(said, /\{"type":"object"\}/);
});

for (const [text, result] of [
  ['{"a": 1}', { data: { a: 1 } }],
  ['Here:\n```json\n{"a": 1}\n```\nDone.', { data: { a: 1 } }],
  ['First ```\n{"a": 0}\n``` then ```json\n{"a": 1}\n```', { data: { a: 1 } }],
  ["It is [1, 2], I think.", { data: [1, 2] }],
  ["no data", { report: "no data" }],
  ["{broken", { report: "{broken" }],
] as const) {
  test(`with a schema, ${JSON.stringify(text)} is ${JSON.stringify(result)}`, () => {
    assert.deepEqual(resultOf(text, { type: "object" }), result);
  });
}

test("without a schema the text is the report, whatever it looks like", () => {
  assert.deepEqual(resultOf('{"a": 1}', undefined), { report: '{"a": 1}' });
});
