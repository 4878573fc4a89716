import assert from "node:assert/strict";
import { test } from "node:test";
import { fieldOf, fieldsOf, formatValue, parseField } from "../../../src/start/fields";
import { seedArguments } from "../../../src/start/seed";

/** As `main(task: str, test: list[str] | None = None, rounds: int = 3, ...)` becomes it. */
const SCHEMA = {
  type: "object",
  properties: {
    task: { type: "string", description: "What is to be done." },
    test: { anyOf: [{ type: "array", items: { type: "string" } }, { type: "null" }], default: null },
    rounds: { type: "integer", default: 3 },
    minutes: { type: "number", default: 1.5, minimum: 0, maximum: 60 },
    dry: { type: "boolean", default: false },
    base: { anyOf: [{ type: "string" }, { type: "null" }], default: null },
    mode: { enum: ["fast", "slow"], default: "fast" },
    lanes: { type: "array", items: { enum: ["a", "b"] }, default: ["a"] },
    options: { type: "object", additionalProperties: { type: "integer" }, default: {} },
  },
  required: ["task"],
};
const FIELDS = fieldsOf(SCHEMA);
const field = (name: string) => FIELDS.find((one) => one.name === name) ?? assert.fail(name);

test("each parameter is a field of its kind, in the order of the signature", () => {
  assert.deepEqual(
    FIELDS.map(({ name, kind, isRequired, isNullable }) => [name, kind, isRequired, isNullable]),
    [
      ["task", "text", true, false],
      ["test", "texts", false, true],
      ["rounds", "integer", false, false],
      ["minutes", "number", false, false],
      ["dry", "boolean", false, false],
      ["base", "text", false, true],
      ["mode", "choice", false, false],
      ["lanes", "choices", false, false],
      ["options", "json", false, false],
    ],
  );
});

for (const [name, typed, value] of [
  ["task", "Fix it ", "Fix it "],
  ["rounds", " 7 ", 7],
  ["minutes", "0.5", 0.5],
  ["base", "", null],
  ["base", "main", "main"],
  ["test", "", null],
  ["test", "make, check", ["make", "check"]],
  ["test", '["a, b"]', ["a, b"]],
  ["options", '{"a": 1}', { a: 1 }],
] as const) {
  test(`${JSON.stringify(typed)} in ${name} is ${JSON.stringify(value)}`, () => {
    assert.deepEqual(parseField(field(name), typed), { value });
  });
}

for (const [name, typed] of [
  ["task", "   "],
  ["rounds", ""],
  ["rounds", "1.5"],
  ["rounds", "three"],
  ["rounds", "9007199254740993"],
  ["minutes", "Infinity"],
  ["minutes", "-1"],
  ["minutes", "61"],
  ["test", '["a", 1]'],
  ["test", '["a"'],
  ["options", "{a: 1}"],
] as const) {
  test(`${JSON.stringify(typed)} in ${name} is told to be wrong`, () =>
    assert.ok(parseField(field(name), typed).problem));
}

for (const [name, value] of [
  ["test", ["make", "check"]],
  ["test", ["a, b", ""]],
  ["rounds", 3],
  ["options", { a: 1 }],
  ["base", null],
  ["task", "two words"],
] as const) {
  test(`${name} ${JSON.stringify(value)} is shown so that it can be typed again`, () => {
    assert.deepEqual(parseField(field(name), formatValue(field(name), value)), { value });
  });
}

test("a schema that no signature makes is typed as JSON", () => {
  for (const schema of [{}, { anyOf: [{ type: "string" }, { type: "integer" }] }, { $ref: "#/x" }, { type: "array" }]) {
    assert.equal(fieldOf("x", schema, true).kind, "json");
  }
  assert.deepEqual(fieldsOf({}), []);
});

test("a folder and a selection become the arguments that ask for them", () => {
  const fields = fieldsOf({
    properties: { path: { type: "string" }, question: { type: "string" }, n: { type: "integer" } },
  });
  assert.deepEqual(seedArguments(fields, { path: "src", selection: "why?" }), { path: "src", question: "why?" });
  assert.deepEqual(seedArguments(fields, {}), {});
  const lists = fieldsOf({ properties: { files: { type: "array", items: { type: "string" } } } });
  assert.deepEqual(seedArguments(lists, { path: "src" }), { files: ["src"] });
});
