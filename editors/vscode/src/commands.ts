/** The commands of the palette, the menus and the tree; each is one line to who does it. */
import path from "node:path";
import * as vscode from "vscode";
import type { Questions } from "./ask/questions";
import type { Sidecar } from "./client/sidecar";
import type { Actions } from "./runs/actions";
import { askForFilter } from "./runs/runFilter";
import { NO_FILTER, type RunList } from "./runs/runList";
import { runOf } from "./runs/runPicker";
import type { Node } from "./runs/runsTree";
import { isActive, isTerminal } from "./runs/status";
import type { StepLists } from "./runs/stepLists";
import type { Seed } from "./start/seed";
import type { StartRuns } from "./start/startRuns";
import type { RunSummary } from "../../../protocol/schema/sidestep";

export interface CommandParts {
  readonly sidecar: Sidecar;
  readonly runs: RunList;
  readonly steps: StepLists;
  readonly starts: StartRuns;
  readonly actions: Actions;
  readonly questions: Questions;
  readonly log: vscode.LogOutputChannel;
  readonly open: (runId: string) => void;
}

export function registerCommands(parts: CommandParts): vscode.Disposable {
  const { sidecar, runs, steps, starts, actions, log, open } = parts;
  const onRun = (placeHolder: string, isFitting: (run: RunSummary) => boolean, action: (runId: string) => unknown) => {
    return async (argument: unknown): Promise<void> => {
      const runId = await runOf(argument, runs, placeHolder, isFitting);
      if (runId !== undefined) await action(runId);
    };
  };
  const isStopped = (run: RunSummary): boolean => !isActive(run.status);
  const canGoOn = (run: RunSummary): boolean => run.status === "interrupted" || run.status === "failed";
  const goOn = (withCurrentSource: boolean) => (runId: string) => actions.continueRun(runId, { withCurrentSource });
  const commands: Record<string, (...args: never[]) => unknown> = {
    runWorkflow: (name?: string) => (typeof name === "string" ? starts.named(name, {}) : starts.pick()),
    runRepoReport: () => starts.named("repo-report", {}),
    runFile: (uri?: vscode.Uri) => runFile(starts, uri),
    runOnFolder: (uri?: vscode.Uri) => starts.pick(uri, seedOf(uri)),
    runOnSelection: () => runOnSelection(starts),
    openRun: onRun("Open which run?", () => true, open),
    openReport: onRun(
      "Open the report of which run?",
      (run) => isTerminal(run.status),
      (runId) => actions.openReport(runId),
    ),
    openScript: onRun(
      "Open the script of which run?",
      () => true,
      (runId) => actions.openScript(runId),
    ),
    interruptRun: onRun(
      "Interrupt which run?",
      (run) => isActive(run.status),
      (runId) => actions.interrupt(runId),
    ),
    continueRun: onRun("Continue which run?", canGoOn, goOn(false)),
    continueRunWithEditedScript: onRun("Continue which run with its edited script?", canGoOn, goOn(true)),
    backgroundRun: onRun(
      "Move which run to the background?",
      (run) => run.status === "running",
      (runId) => actions.background(runId),
    ),
    rerun: onRun(
      "Run which one again?",
      () => true,
      (runId) => actions.rerun(runId),
    ),
    deleteRun: onRun("Delete which run?", isStopped, (runId) => actions.delete(runId)),
    copyRunId: onRun(
      "Copy the id of which run?",
      () => true,
      (runId) => vscode.env.clipboard.writeText(runId),
    ),
    answerQuestion: onRun(
      "Answer a question of which run?",
      (run) => run.pending > 0,
      (runId) => answer(parts, runId),
    ),
    loadMore: (node: Node) => (node.type === "moreSteps" ? steps.loadMore(node.runId) : runs.loadMore()),
    refreshRuns: () => runs.reload(),
    filterRuns: async () => {
      const filter = await askForFilter(runs);
      if (filter) await runs.reload(filter);
    },
    clearFilter: () => runs.reload(NO_FILTER),
    restartServer: () => sidecar.restart(),
    showLog: () => log.show(),
    traceServer: async () => {
      log.show();
      await vscode.commands.executeCommand("workbench.action.setLogLevel");
    },
  };
  const registered = Object.entries(commands).map(([name, action]) =>
    vscode.commands.registerCommand(`sidestep.${name}`, action),
  );
  return vscode.Disposable.from(...registered);
}

function runFile(starts: StartRuns, uri: vscode.Uri | undefined): Promise<void> | undefined {
  const file = uri ?? vscode.window.activeTextEditor?.document.uri;
  return file && starts.file(file);
}

function runOnSelection(starts: StartRuns): Promise<void> | undefined {
  const editor = vscode.window.activeTextEditor;
  if (!editor) return undefined;
  const selection = editor.document.getText(editor.selection);
  return starts.pick(editor.document.uri, { ...seedOf(editor.document.uri), selection });
}

function seedOf(uri: vscode.Uri | undefined): Seed {
  const folder = uri && vscode.workspace.getWorkspaceFolder(uri);
  if (!uri || !folder) return {};
  return { path: path.relative(folder.uri.fsPath, uri.fsPath).replaceAll(path.sep, "/") || "." };
}

/** Asks what the run asks, the oldest question first. */
async function answer({ sidecar, questions, actions }: CommandParts, runId: string): Promise<void> {
  const { pending } = await sidecar.request("workflow/get", { runId });
  if (pending.length === 0) void vscode.window.showInformationMessage("This run has no open question.");
  for (const interaction of pending) {
    const given = await questions.ask(interaction);
    if (!given) return;
    await actions.answer(interaction, given.value);
  }
}
