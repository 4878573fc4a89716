/**
 * The form for an answer: fields from a JSON schema, and the answer from what stands in them. Pure.
 *
 * What a person can fill in line by line gets a field of its own; anything deeper is typed as JSON. The server checks
 * the answer against the whole schema; here only what can be said while typing is said.
 */

type Schema = Record<string, unknown>;

export interface Field {
  /** Property name; empty when the answer is one value. */
  name: string;
  label: string;
  description: string;
  control: "text" | "longText" | "number" | "checkbox" | "choice" | "lines" | "json";
  required: boolean;
  choices: readonly unknown[];
  /** As typed. */
  initial: string;
  integer: boolean;
}

export interface Problem {
  field: string;
  message: string;
}

/** @param schema Absent: any text. */
export function fieldsOf(schema: Schema | undefined): Field[] {
  if (schema === undefined) return [field("", { type: "string" }, true, "longText")];
  const properties = schema["properties"];
  if (schema["type"] === "object" && isObject(properties) && Object.keys(properties).length > 0) {
    const required = Array.isArray(schema["required"]) ? schema["required"] : [];
    return Object.entries(properties).map(([name, value]) =>
      field(name, isObject(value) ? value : {}, required.includes(name)),
    );
  }
  return [field("", schema, true)];
}

/** @param typed Text by field name; `"true"` or `"false"` of a checkbox, the index of a choice. */
export function answerOf(
  fields: readonly Field[],
  typed: ReadonlyMap<string, string>,
): { answer: unknown; problems: Problem[] } {
  const problems: Problem[] = [];
  const values = fields.map((each) => {
    const { value, message } = valueOf(each, typed.get(each.name) ?? each.initial);
    if (message) problems.push({ field: each.name, message });
    return [each.name, value] as const;
  });
  if (fields.length === 1 && fields[0]?.name === "") return { answer: values[0]?.[1], problems };
  return { answer: Object.fromEntries(values.filter(([, value]) => value !== undefined)), problems };
}

function field(name: string, schema: Schema, required: boolean, control = controlOf(schema)): Field {
  const title = typeof schema["title"] === "string" ? schema["title"] : "";
  const given = schema["default"];
  const choices = Array.isArray(schema["enum"]) ? schema["enum"] : [];
  return {
    name,
    label: title || name,
    description: typeof schema["description"] === "string" ? schema["description"] : "",
    control,
    required,
    choices,
    initial: given === undefined ? (control === "checkbox" ? "false" : "") : typedAs(control, given, choices),
    integer: schema["type"] === "integer",
  };
}

function controlOf(schema: Schema): Field["control"] {
  if (Array.isArray(schema["enum"])) return "choice";
  switch (schema["type"]) {
    case "string":
      return "text";
    case "integer":
    case "number":
      return "number";
    case "boolean":
      return "checkbox";
    case "array":
      return isObject(schema["items"]) && schema["items"]["type"] === "string" && !schema["items"]["enum"]
        ? "lines"
        : "json";
    default:
      return "json";
  }
}

function typedAs(control: Field["control"], value: unknown, choices: readonly unknown[]): string {
  if (control === "choice") return String(choices.findIndex((choice) => same(choice, value)));
  if (control === "lines" && Array.isArray(value)) return value.join("\n");
  if (control === "json") return JSON.stringify(value, null, 2);
  return String(value);
}

function valueOf(field: Field, text: string): { value?: unknown; message?: string } {
  const empty = text.trim() === "";
  if (empty && field.control !== "lines") {
    // An empty text is a text; but a field that may be left out is left out then.
    if (field.required && field.control === "text" && field.name !== "") return { value: "" };
    return field.required ? { message: "Needed" } : {};
  }
  switch (field.control) {
    case "number": {
      const number = Number(text);
      if (!Number.isFinite(number)) return { message: "Not a number" };
      if (field.integer && !Number.isInteger(number)) return { message: "Not a whole number" };
      return { value: number };
    }
    case "checkbox":
      return { value: text === "true" };
    case "choice":
      return { value: field.choices[Number(text)] };
    case "lines":
      if (empty && !field.required) return {};
      return { value: text.split("\n").filter((line) => line.trim() !== "") };
    case "json":
      try {
        return { value: JSON.parse(text) };
      } catch (error) {
        return { message: `Not JSON: ${(error as Error).message}` };
      }
    default:
      return { value: text };
  }
}

function same(one: unknown, other: unknown): boolean {
  return JSON.stringify(one) === JSON.stringify(other);
}

function isObject(value: unknown): value is Schema {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
