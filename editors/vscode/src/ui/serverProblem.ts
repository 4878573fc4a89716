/** There is no server: says why, with the buttons that help. */
import * as vscode from "vscode";

export async function tellServerProblem(
  problem: string,
  kind: "setting" | "version" | "missing" | "dying" | "failed",
): Promise<void> {
  const [settings, again, how, log] = ["Open Settings", "Try Again", "How to Install", "Show Log"];
  const first = { setting: settings, version: settings, missing: how, dying: again, failed: again }[kind];
  const second = first === again ? undefined : again;
  const chosen = await vscode.window.showErrorMessage(
    problem,
    ...[first, second, log].filter((button) => button !== undefined),
  );
  if (chosen === settings)
    await vscode.commands.executeCommand("workbench.action.openSettings", "sidestep.server.path");
  if (chosen === again) await vscode.commands.executeCommand("sidestep.restartServer");
  if (chosen === log) await vscode.commands.executeCommand("sidestep.showLog");
  if (chosen === how)
    await vscode.commands.executeCommand("workbench.action.openWalkthrough", "sidestep.sidestep#sidestep.start", false);
}
