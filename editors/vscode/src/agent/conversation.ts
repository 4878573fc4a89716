/**
 * One agent step as a conversation with a language model: its answer, and the tools it calls on the way.
 *
 * Knows neither the editor nor its models; a Chat is one of them, a fake one in tests.
 */
import type { JsonObject, RunTaskParams, RunTaskResult } from "../../../../protocol/schema/sidestep";

/** Answers of the model in one task; a model that calls tools for ever is stopped. */
const ROUNDS_MAX = 60;

export interface ToolCall {
  readonly name: string;
  readonly callId: string;
  readonly input: object;
}

export interface Reply {
  readonly text: string;
  readonly calls: readonly ToolCall[];
}

export interface Chat {
  /** Says something to the model, the first time the prompt, then what the tools of its last reply came to. */
  say(
    said: string | readonly { readonly call: ToolCall; readonly result: unknown }[],
    signal: AbortSignal,
  ): Promise<Reply>;
  use(call: ToolCall, signal: AbortSignal): Promise<unknown>;
}

export async function converse(
  task: RunTaskParams,
  chat: Chat,
  signal: AbortSignal,
  progress: (message: string) => void,
): Promise<RunTaskResult> {
  let reply = await chat.say(instructions(task), signal);
  for (let round = 1; reply.calls.length > 0; round += 1) {
    if (round >= ROUNDS_MAX) throw new Error(`the model called tools ${ROUNDS_MAX} times in a row and gave no answer`);
    const results = [];
    for (const call of reply.calls) {
      signal.throwIfAborted();
      progress(`uses ${call.name}`);
      results.push({ call, result: await chat.use(call, signal) });
    }
    signal.throwIfAborted();
    reply = await chat.say(results, signal);
  }
  signal.throwIfAborted();
  return resultOf(reply.text, task.schema);
}

export function instructions(task: RunTaskParams): string {
  const place = `You work in the folder ${task.cwd}.`;
  if (!task.schema) return `${task.prompt}\n\n${place}`;
  const schema = JSON.stringify(task.schema);
  return `${task.prompt}\n\n${place} Answer with nothing but one JSON value that fits this JSON Schema:\n${schema}`;
}

/** With a schema the JSON in the text is the data; text that holds none is a report, which the server refuses. */
export function resultOf(text: string, schema: JsonObject | undefined): RunTaskResult {
  if (!schema) return { report: text };
  for (const candidate of jsonIn(text)) {
    try {
      return { data: JSON.parse(candidate) as unknown };
    } catch {
      // The next place where JSON may stand.
    }
  }
  return { report: text };
}

function* jsonIn(text: string): Generator<string> {
  yield text.trim();
  for (const fence of [...text.matchAll(/```(?:json)?\s*\n([\s\S]*?)```/g)].reverse()) yield (fence[1] ?? "").trim();
  const first = text.search(/[[{]/);
  const last = Math.max(text.lastIndexOf("}"), text.lastIndexOf("]"));
  if (first >= 0 && last > first) yield text.slice(first, last + 1);
}
