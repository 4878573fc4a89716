/**
 * Asks for a workflow's arguments.
 *
 * What has no default is asked for first, step by step; then everything stands on one page, where Enter starts the run
 * and any line can be changed.
 */
import * as vscode from "vscode";
import type { JsonObject } from "../../../../protocol/schema/sidestep";
import { fieldsOf, formatValue, type Field } from "./fields";
import { seedArguments, type Seed } from "./seed";
import { askForValue, shown } from "./valueInput";

export interface FormOptions {
  readonly name: string;
  readonly argsSchema: JsonObject;
  readonly given: JsonObject;
  readonly seed: Seed;
  readonly when: "always" | "whenRequired";
}

/** The arguments that differ from their defaults; undefined when the person went away. */
export async function askForArguments(options: FormOptions): Promise<JsonObject | undefined> {
  const fields = fieldsOf(options.argsSchema);
  const values: JsonObject = { ...seedArguments(fields, options.seed), ...options.given };
  // A selection of several lines does not fit into an input box; the overview shows that it is taken.
  const isTaken = ({ name }: Field): boolean => name in options.given || String(values[name] ?? "").includes("\n");
  const missing = fields.filter((field) => field.isRequired && !isTaken(field));
  const title = `Run ${options.name}`;
  for (const [index, field] of missing.entries()) {
    const asked = { title: `${title}: ${field.name}`, step: index + 1, totalSteps: missing.length };
    const given = await askForValue(field, values[field.name], asked);
    if (!given) return undefined;
    values[field.name] = given.value;
  }
  if (options.when === "whenRequired" || fields.length === 0) return values;
  return (await overview(title, fields, values)) ? values : undefined;
}

interface Row extends vscode.QuickPickItem {
  readonly field?: Field;
}

/** True when the run is to start; `values` holds what was changed. */
async function overview(title: string, fields: readonly Field[], values: JsonObject): Promise<boolean> {
  for (;;) {
    const chosen = await pickRow(title, fields, values);
    if (!chosen) return false;
    if (!chosen.field) return true;
    const { field } = chosen;
    const given = await askForValue(field, values[field.name] ?? field.defaultValue, {
      title: `${title}: ${field.name}`,
    });
    if (given) values[field.name] = given.value;
  }
}

function pickRow(title: string, fields: readonly Field[], values: JsonObject): Promise<Row | undefined> {
  const list = vscode.window.createQuickPick<Row>();
  list.title = title;
  list.placeholder = "Enter starts the run; choose an argument to change it";
  list.ignoreFocusOut = true;
  list.matchOnDescription = true;
  list.matchOnDetail = true;
  list.items = [
    { label: "$(play) Run", alwaysShow: true },
    { label: "arguments", kind: vscode.QuickPickItemKind.Separator },
    ...fields.map((field) => rowOf(field, values)),
  ];
  return shown<Row>(list, undefined, (settle) => {
    list.onDidAccept(() => {
      const chosen = list.selectedItems[0];
      if (chosen) settle(chosen);
    });
  });
}

function rowOf(field: Field, values: JsonObject): Row {
  const isGiven = field.name in values;
  const value = isGiven ? values[field.name] : field.defaultValue;
  const text = formatValue(field, value);
  const shownText = text === "" ? "nothing" : text.length > 80 ? `${text.slice(0, 79)}…` : text;
  return {
    label: `$(edit) ${field.name}`,
    description: isGiven ? shownText : `${shownText} (default)`,
    detail: field.description,
    field,
  };
}
