/** Asks for one value: an input box that checks while it is typed into, or a list to pick from. */
import * as vscode from "vscode";
import { formatValue, hint, parseField, type Field } from "./fields";

/** Undefined: the person went away. */
export type Given = { readonly value: unknown } | undefined;

export interface Asked {
  readonly title: string;
  /** What stands above the input; the field's description when left out. */
  readonly prompt?: string;
  readonly step?: number;
  readonly totalSteps?: number;
}

export function askForValue(
  field: Field,
  current: unknown,
  asked: Asked,
  token?: vscode.CancellationToken,
): Promise<Given> {
  if (field.kind === "choice" || field.kind === "boolean" || field.kind === "choices")
    return pick(field, current, asked, token);
  return type(field, current, asked, token);
}

function type(field: Field, current: unknown, asked: Asked, token?: vscode.CancellationToken): Promise<Given> {
  const input = vscode.window.createInputBox();
  input.title = asked.title;
  input.step = asked.step;
  input.totalSteps = asked.totalSteps;
  input.prompt = asked.prompt ?? [field.description, hint(field)].filter(Boolean).join(" — ");
  input.placeholder = field.name;
  input.value = formatValue(field, current);
  input.ignoreFocusOut = true;
  const check = (): void => {
    input.validationMessage = parseField(field, input.value).problem;
  };
  input.onDidChangeValue(check);
  return shown(input, token, (settle) => {
    input.onDidAccept(() => {
      const parsed = parseField(field, input.value);
      if (parsed.problem === undefined) settle({ value: parsed.value });
      else check();
    });
  });
}

function pick(field: Field, current: unknown, asked: Asked, token?: vscode.CancellationToken): Promise<Given> {
  const list = vscode.window.createQuickPick<vscode.QuickPickItem & { value: unknown }>();
  list.title = asked.title;
  list.step = asked.step;
  list.totalSteps = asked.totalSteps;
  list.placeholder = asked.prompt ?? (field.description || hint(field));
  list.ignoreFocusOut = true;
  const several = field.kind === "choices";
  list.canSelectMany = several;
  list.items = [
    ...field.options.map((value) => ({ label: optionText(field, value), value })),
    ...(field.isNullable && !several ? [{ label: "nothing", value: null }] : []),
  ];
  const isCurrent = (value: unknown): boolean =>
    several ? Array.isArray(current) && current.includes(value) : value === current;
  const chosen = list.items.filter((item) => isCurrent(item.value));
  if (several) list.selectedItems = chosen;
  else list.activeItems = chosen;
  return shown(list, token, (settle) => {
    list.onDidAccept(() => {
      const values = list.selectedItems.map((item) => item.value);
      if (several) settle({ value: values });
      else if (values.length > 0) settle({ value: values[0] });
    });
  });
}

function optionText(field: Field, value: unknown): string {
  if (field.kind === "boolean") return value ? "yes" : "no";
  return typeof value === "string" ? value : JSON.stringify(value);
}

/** Shows an input until it is settled, hidden by the person, or withdrawn. */
export function shown<T>(
  input: vscode.QuickInput,
  token: vscode.CancellationToken | undefined,
  wire: (settle: (value: T) => void) => void,
): Promise<T | undefined> {
  return new Promise((resolve) => {
    let result: T | undefined;
    const withdrawn = token?.onCancellationRequested(() => input.hide());
    wire((value) => {
      result = value;
      input.hide();
    });
    input.onDidHide(() => {
      withdrawn?.dispose();
      input.dispose();
      resolve(result);
    });
    if (token?.isCancellationRequested) input.hide();
    else input.show();
  });
}
