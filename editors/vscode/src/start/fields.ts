/**
 * A JSON schema of arguments as fields of a form, and what a person types as values.
 *
 * Knows the schemas that `main`'s signature becomes; anything else is typed as JSON. The server checks again: what is
 * let through here too much is refused there.
 */
import type { JsonObject } from "../../../../protocol/schema/sidestep";

export type FieldKind = "text" | "integer" | "number" | "boolean" | "choice" | "texts" | "choices" | "json";

export interface Field {
  readonly name: string;
  readonly kind: FieldKind;
  readonly isRequired: boolean;
  /** May be null, which nothing typed stands for. */
  readonly isNullable: boolean;
  readonly description: string;
  /** Undefined when there is none. */
  readonly defaultValue: unknown;
  /** Of a choice, or of the members of `choices`. */
  readonly options: readonly unknown[];
  readonly minimum?: number;
  readonly maximum?: number;
}

export type Parsed = { readonly value: unknown; readonly problem?: undefined } | { readonly problem: string };

/** The fields in the order of the signature. */
export function fieldsOf(schema: JsonObject): Field[] {
  const required = new Set(Array.isArray(schema.required) ? schema.required : []);
  return Object.entries(objectOf(schema.properties)).map(([name, property]) =>
    fieldOf(name, objectOf(property), required.has(name)),
  );
}

/** A field for one value, such as an answer. */
export function fieldOf(name: string, schema: JsonObject, isRequired: boolean): Field {
  const { inner, isNullable } = withoutNull(schema);
  return {
    name,
    ...kindOf(inner),
    isRequired,
    isNullable,
    description: textOf(schema.description) || textOf(inner.description),
    defaultValue: schema.default,
    minimum: numberOf(inner.minimum),
    maximum: numberOf(inner.maximum),
  };
}

/** What is typed into a field: its value, or what is wrong with it. Nothing typed is null or empty text. */
export function parseField(field: Field, typed: string): Parsed {
  const text = typed.trim();
  if (text === "" && field.isNullable) return { value: null };
  switch (field.kind) {
    case "text":
      return text === "" && field.isRequired ? { problem: "Something has to stand here." } : { value: typed };
    case "integer":
    case "number":
      return parseNumber(field, text);
    case "texts":
      return parseTexts(text);
    default:
      return parseJson(text);
  }
}

/** How a value is shown in the form, and typed again. */
export function formatValue(field: Field, value: unknown): string {
  if (value === undefined || value === null) return "";
  if (field.kind === "texts" && Array.isArray(value)) {
    const isPlain = value.every(
      (item) => typeof item === "string" && !/[,"[\]]/.test(item) && item.trim() === item && item,
    );
    return isPlain ? value.join(", ") : JSON.stringify(value);
  }
  return typeof value === "string" ? value : JSON.stringify(value);
}

/** What a person is told to type. */
export function hint(field: Field): string {
  const what: Record<FieldKind, string> = {
    text: "Text",
    integer: "A whole number",
    number: "A number",
    boolean: "Yes or no",
    choice: "One of the choices",
    texts: 'Texts with commas between them, or JSON such as ["a", "b"]',
    choices: "Any of the choices",
    json: "JSON",
  };
  return field.isNullable ? `${what[field.kind]}, or nothing` : what[field.kind];
}

function parseNumber(field: Field, text: string): Parsed {
  const value = text === "" ? Number.NaN : Number(text);
  if (field.kind === "integer" && !Number.isSafeInteger(value))
    return { problem: "A whole number has to stand here, such as 3." };
  if (!Number.isFinite(value)) return { problem: "A number has to stand here, such as 1.5." };
  if (field.minimum !== undefined && value < field.minimum)
    return { problem: `It has to be at least ${field.minimum}.` };
  if (field.maximum !== undefined && value > field.maximum)
    return { problem: `It has to be at most ${field.maximum}.` };
  return { value };
}

function parseTexts(text: string): Parsed {
  if (!text.startsWith("["))
    return {
      value:
        text === ""
          ? []
          : text
              .split(",")
              .map((part) => part.trim())
              .filter(Boolean),
    };
  const parsed = parseJson(text);
  if (parsed.problem !== undefined) return parsed;
  const isTexts = Array.isArray(parsed.value) && parsed.value.every((item) => typeof item === "string");
  return isTexts ? parsed : { problem: 'A list of texts has to stand here, such as ["a", "b"].' };
}

function parseJson(text: string): Parsed {
  try {
    return { value: JSON.parse(text) as unknown };
  } catch (error) {
    return { problem: `This is no JSON: ${(error as Error).message}` };
  }
}

function withoutNull(schema: JsonObject): { inner: JsonObject; isNullable: boolean } {
  if (!Array.isArray(schema.anyOf)) return { inner: schema, isNullable: schema.type === "null" };
  const others = schema.anyOf.map(objectOf).filter((branch) => branch.type !== "null");
  const isNullable = others.length < schema.anyOf.length;
  return { inner: others.length === 1 ? (others[0] ?? {}) : {}, isNullable };
}

function kindOf(schema: JsonObject): { kind: FieldKind; options: readonly unknown[] } {
  if (Array.isArray(schema.enum)) return { kind: "choice", options: schema.enum };
  if (schema.type === "string") return { kind: "text", options: [] };
  if (schema.type === "integer" || schema.type === "number") return { kind: schema.type, options: [] };
  if (schema.type === "boolean") return { kind: "boolean", options: [true, false] };
  if (schema.type === "array") {
    const items = objectOf(schema.items);
    if (Array.isArray(items.enum)) return { kind: "choices", options: items.enum };
    if (items.type === "string") return { kind: "texts", options: [] };
  }
  return { kind: "json", options: [] };
}

function objectOf(value: unknown): JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value) ? (value as JsonObject) : {};
}

function textOf(value: unknown): string {
  return typeof value === "string" ? value : "";
}

function numberOf(value: unknown): number | undefined {
  return typeof value === "number" ? value : undefined;
}
