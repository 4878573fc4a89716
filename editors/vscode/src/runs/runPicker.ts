/** Which run a command is about: the row it was called on, the id it was given, or the one the person picks. */
import * as vscode from "vscode";
import type { RunSummary } from "../../../../protocol/schema/sidestep";
import type { RunList } from "./runList";
import { runIcon } from "./status";
import { runDescription } from "./treeModel";

export async function runOf(
  argument: unknown,
  runs: RunList,
  placeHolder: string,
  isFitting: (run: RunSummary) => boolean,
): Promise<string | undefined> {
  if (typeof argument === "string") return argument;
  const { runId } = (argument ?? {}) as { runId?: unknown };
  if (typeof runId === "string") return runId;
  await runs.ready();
  const fitting = runs.sorted.filter(isFitting);
  if (fitting.length === 0) {
    void vscode.window.showInformationMessage("There is no such run here.");
    return undefined;
  }
  const rows = fitting.map((run) => ({
    label: `$(${runIcon(run.status, run.pending).icon}) ${run.label ?? run.name}`,
    description: runDescription(run, Date.now()),
    runId: run.runId,
  }));
  return (await vscode.window.showQuickPick(rows, { placeHolder, matchOnDescription: true }))?.runId;
}
