/** The tree of runs: active ones first, then recent ones; below a run its phases, steps and nested runs. */
import * as vscode from "vscode";
import type { RunSummary, StepSummary } from "../../../../protocol/schema/sidestep";
import type { Sidecar } from "../client/sidecar";
import type { RunList } from "./runList";
import { runIcon, isActive, stepIcon } from "./status";
import { StepLists } from "./stepLists";
import { phaseDescription, phasesOf, runDescription, stepDescription, stepLabel, type PhaseGroup } from "./treeModel";

export type Node =
  | { readonly type: "run"; readonly runId: string }
  | { readonly type: "phase"; readonly runId: string; readonly group: PhaseGroup }
  | { readonly type: "step"; readonly runId: string; readonly step: StepSummary }
  | { readonly type: "moreRuns" }
  | { readonly type: "moreSteps"; readonly runId: string };

export class RunsTree implements vscode.TreeDataProvider<Node> {
  private readonly changed = new vscode.EventEmitter<Node | undefined>();
  /** One node for each run, so that VS Code finds it again. */
  private readonly nodes = new Map<string, Node & { type: "run" }>();

  readonly onDidChangeTreeData = this.changed.event;

  constructor(
    private readonly sidecar: Sidecar,
    private readonly runs: RunList,
    private readonly steps: StepLists,
  ) {
    runs.onDidChange(() => this.changed.fire(undefined));
    steps.onDidChange((runId) => this.changed.fire(this.runs.get(runId) ? this.nodeOf(runId) : undefined));
  }

  getTreeItem(node: Node): vscode.TreeItem {
    switch (node.type) {
      case "run":
        return this.runItem(node.runId);
      case "phase":
        return phaseItem(node.runId, node.group);
      case "step":
        return stepItem(node.runId, node.step);
      default:
        return moreItem(node);
    }
  }

  async getChildren(node?: Node): Promise<Node[]> {
    if (!node) return this.roots();
    if (node.type === "phase") return node.group.steps.map((step) => ({ type: "step", runId: node.runId, step }));
    if (node.type === "run") return this.below(node.runId);
    if (node.type === "step" && node.step.childRunId) return this.below(node.step.childRunId);
    return [];
  }

  getParent(node: Node): Node | undefined {
    return node.type === "run" || node.type === "moreRuns" ? undefined : this.nodeOf(node.runId);
  }

  /** The run's row, to reveal it. */
  nodeOf(runId: string): Node & { type: "run" } {
    let node = this.nodes.get(runId);
    if (!node) this.nodes.set(runId, (node = { type: "run", runId }));
    return node;
  }

  private roots(): Node[] {
    // The first look at the tree is what starts the server.
    if (this.sidecar.state.kind === "idle") void this.sidecar.start();
    const rows: Node[] = this.runs.sorted.map((run) => this.nodeOf(run.runId));
    return this.runs.hasMore ? [...rows, { type: "moreRuns" }] : rows;
  }

  private async below(runId: string): Promise<Node[]> {
    const { steps, hasMore } = await this.steps.of(runId);
    const rows: Node[] = phasesOf(steps).flatMap((group): Node[] =>
      group.name ? [{ type: "phase", runId, group }] : group.steps.map((step) => ({ type: "step", runId, step })),
    );
    return hasMore ? [...rows, { type: "moreSteps", runId }] : rows;
  }

  private runItem(runId: string): vscode.TreeItem {
    const run = this.runs.get(runId);
    if (!run) return new vscode.TreeItem(runId);
    const item = new vscode.TreeItem(run.label ?? run.name, vscode.TreeItemCollapsibleState.Collapsed);
    item.id = runId;
    item.description = runDescription(run, Date.now());
    item.iconPath = iconOf(runIcon(run.status, run.pending));
    item.contextValue = contextOf(run);
    item.tooltip = `${run.name}\n${run.runId}\nStarted ${new Date(run.createdAt).toLocaleString()}`;
    item.command = { command: "sidestep.openRun", title: "Open Run", arguments: [runId] };
    item.accessibilityInformation = { label: `${run.label ?? run.name}, ${item.description}` };
    return item;
  }
}

/** Words for `when` clauses of menus: `run active asks foreground`. */
function contextOf(run: RunSummary): string {
  const words = ["run", isActive(run.status) ? "active" : run.status];
  if (run.pending > 0 && run.status !== "completed" && run.status !== "failed") words.push("asks");
  if (run.status === "running") words.push("foreground");
  return words.join(" ");
}

function phaseItem(runId: string, group: PhaseGroup): vscode.TreeItem {
  const item = new vscode.TreeItem(group.name, vscode.TreeItemCollapsibleState.Expanded);
  item.id = `${runId} phase ${group.name}`;
  item.description = phaseDescription(group);
  item.contextValue = "phase";
  return item;
}

function stepItem(runId: string, step: StepSummary): vscode.TreeItem {
  const { None, Collapsed } = vscode.TreeItemCollapsibleState;
  const item = new vscode.TreeItem(stepLabel(step), step.childRunId ? Collapsed : None);
  item.id = `${runId} step ${step.stepId} ${step.key}`;
  item.description = stepDescription(step, Date.now());
  item.iconPath = iconOf(stepIcon(step.status, step.reused));
  item.contextValue = "step";
  item.tooltip = [`${step.kind} ${step.stepId}`, step.error?.message].filter(Boolean).join("\n");
  const opened = step.childRunId ?? runId;
  item.command = { command: "sidestep.openRun", title: "Open Run", arguments: [opened] };
  item.accessibilityInformation = { label: `${stepLabel(step)}, ${step.status}, ${item.description}` };
  return item;
}

function moreItem(node: Node & { type: "moreRuns" | "moreSteps" }): vscode.TreeItem {
  const item = new vscode.TreeItem("Show more…");
  item.id = node.type === "moreRuns" ? "more" : `${node.runId} more`;
  item.iconPath = new vscode.ThemeIcon("ellipsis");
  item.command = { command: "sidestep.loadMore", title: "Show More", arguments: [node] };
  return item;
}

function iconOf({ icon, color }: { readonly icon: string; readonly color?: string }): vscode.ThemeIcon {
  return new vscode.ThemeIcon(icon, color ? new vscode.ThemeColor(color) : undefined);
}
