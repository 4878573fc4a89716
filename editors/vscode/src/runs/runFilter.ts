/** Asks how to filter the tree of runs. */
import * as vscode from "vscode";
import { NO_FILTER, type RunFilter, type RunList } from "./runList";

type Row = vscode.QuickPickItem & { filter?: Partial<RunFilter> };

const STATUSES: Row[] = [
  { label: "$(sync) Active", filter: { statuses: ["active"] } },
  { label: "$(debug-pause) Interrupted", filter: { statuses: ["interrupted"] } },
  { label: "$(error) Failed", filter: { statuses: ["failed"] } },
  { label: "$(pass) Completed", filter: { statuses: ["completed"] } },
];

/** Undefined when the person went away. */
export function askForFilter(runs: RunList): Promise<RunFilter | undefined> {
  const list = vscode.window.createQuickPick<Row>();
  list.title = "Filter Runs";
  list.placeholder = "Type a part of the name, or choose a status";
  list.value = runs.filtered.text;
  const update = (): void => {
    const text = list.value.trim();
    const byText: Row[] = text ? [{ label: `$(search) Runs with “${text}”`, alwaysShow: true, filter: { text } }] : [];
    list.items = [...byText, { label: "$(clear-all) All Runs", alwaysShow: !text, filter: {} }, ...STATUSES];
  };
  update();
  list.onDidChangeValue(update);
  return new Promise((resolve) => {
    list.onDidAccept(() => {
      const chosen = list.selectedItems[0]?.filter;
      resolve(chosen && { ...NO_FILTER, ...chosen });
      list.hide();
    });
    list.onDidHide(() => {
      resolve(undefined);
      list.dispose();
    });
    list.show();
  });
}
