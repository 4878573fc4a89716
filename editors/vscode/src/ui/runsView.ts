/** The view with the tree of runs: its badge, its message, and which rows are kept up. */
import * as vscode from "vscode";
import type { RunList } from "../runs/runList";
import type { Node, RunsTree } from "../runs/runsTree";
import type { StepLists } from "../runs/stepLists";

export function showRunsView(tree: RunsTree, steps: StepLists, runs: RunList): vscode.Disposable {
  const view = vscode.window.createTreeView<Node>("sidestep.runs", { treeDataProvider: tree, showCollapseAll: true });
  const update = (): void => {
    const { text, statuses } = runs.filtered;
    const wanted = [text && `with “${text}”`, ...statuses].filter(Boolean).join(", ");
    view.message = wanted ? `Shown: runs ${wanted}` : undefined;
    const questions = runs.active.reduce((sum, run) => sum + run.pending, 0);
    view.badge =
      questions > 0
        ? { value: questions, tooltip: questions === 1 ? "1 question" : `${questions} questions` }
        : undefined;
    void vscode.commands.executeCommand("setContext", "sidestep.isFiltered", wanted !== "");
  };
  update();
  return vscode.Disposable.from(
    view,
    runs.onDidChange(update),
    view.onDidCollapseElement(({ element }) => {
      if (element.type === "run") steps.forget(element.runId);
      if (element.type === "step" && element.step.childRunId) steps.forget(element.step.childRunId);
    }),
  );
}
