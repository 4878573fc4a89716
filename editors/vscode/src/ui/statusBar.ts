/** The item in the status bar. */
import * as vscode from "vscode";
import type { Sidecar } from "../client/sidecar";
import type { RunList } from "../runs/runList";
import { statusText } from "./statusText";

export function showStatus(sidecar: Sidecar, runs: RunList): vscode.Disposable {
  const item = vscode.window.createStatusBarItem("sidestep.status", vscode.StatusBarAlignment.Left, 10);
  item.name = "Sidestep";
  const update = (): void => {
    const status = statusText(sidecar.state, runs.active);
    if (!status) return item.hide();
    item.text = status.text;
    item.tooltip = status.tooltip;
    item.accessibilityInformation = { label: status.tooltip };
    item.command = sidecar.state.kind === "stopped" ? "sidestep.restartServer" : "sidestep.runs.focus";
    item.backgroundColor = status.isWarning ? new vscode.ThemeColor("statusBarItem.warningBackground") : undefined;
    item.show();
  };
  update();
  return vscode.Disposable.from(item, runs.onDidChange(update), sidecar.onDidChangeState(update));
}
