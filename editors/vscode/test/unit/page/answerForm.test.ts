import assert from "node:assert/strict";
import { test } from "node:test";

import { answerOf, fieldsOf } from "../../../src/page/model/answerForm";

const PLAN = {
  type: "object",
  required: ["count", "mode"],
  properties: {
    count: { type: "integer", description: "How many" },
    mode: { enum: ["fast", "good"], default: "good" },
    dry: { type: "boolean" },
    files: { type: "array", items: { type: "string" } },
    extra: { type: "object" },
  },
};

const answer = (schema: Record<string, unknown> | undefined, typed: Record<string, string>) =>
  answerOf(fieldsOf(schema), new Map(Object.entries(typed)));

test("each property is a field of its kind", () => {
  assert.deepEqual(
    fieldsOf(PLAN).map(({ name, control, required, initial }) => [name, control, required, initial]),
    [
      ["count", "number", true, ""],
      ["mode", "choice", true, "1"],
      ["dry", "checkbox", false, "false"],
      ["files", "lines", false, ""],
      ["extra", "json", false, ""],
    ],
  );
});

test("the answer has the types of the schema", () => {
  const typed = { count: "3", dry: "true", files: "a.py\n\nb.py\n", extra: '{"deep": [1]}' };
  assert.deepEqual(answer(PLAN, typed), {
    answer: { count: 3, mode: "good", dry: true, files: ["a.py", "b.py"], extra: { deep: [1] } },
    problems: [],
  });
});

test("what may be left out is left out", () => {
  assert.deepEqual(answer(PLAN, { count: "1" }).answer, { count: 1, mode: "good", dry: false });
});

test("every problem is told, at its field", () => {
  const { problems } = answer(PLAN, { count: "1.5", mode: "", extra: "{" });
  assert.deepEqual(
    problems.map(({ field }) => field),
    ["count", "mode", "extra"],
  );
  assert.equal(answer(PLAN, { count: "many" }).problems[0]?.message, "Not a number");
  assert.equal(answer(PLAN, {}).problems[0]?.message, "Needed");
});

test("without a schema the answer is text, and a simple schema is one field", () => {
  assert.deepEqual(answer(undefined, { "": "yes, do it" }), { answer: "yes, do it", problems: [] });
  assert.equal(answer(undefined, { "": " " }).problems.length, 1);
  assert.deepEqual(answer({ type: "integer" }, { "": "7" }).answer, 7);
  assert.deepEqual(answer({ type: "boolean" }, {}).answer, false);
  assert.deepEqual(answer({ enum: [1, null] }, { "": "1" }), { answer: null, problems: [] });
});
