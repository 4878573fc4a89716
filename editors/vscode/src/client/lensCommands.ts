/**
 * The server's own commands, behind its code lenses and code actions, done the editor's way: with the form for
 * arguments, the progress and the page. What this version does not know is sent to the server as it is.
 */
import * as vscode from "vscode";
import type { Middleware } from "vscode-languageclient/node";
import type { RunActions } from "../runFeed";
import type { StartRuns } from "../start/startRuns";

export interface LensParts {
  readonly starts: StartRuns;
  readonly actions: RunActions;
  readonly open: (runId: string) => void;
}

interface LensArguments {
  readonly runId?: unknown;
  readonly uri?: unknown;
  readonly name?: unknown;
  readonly args?: unknown;
  readonly workspaceFolder?: unknown;
  readonly source?: unknown;
}

export function lensMiddleware(parts: LensParts): Middleware {
  return {
    executeCommand: async (command, args, next) => {
      const done = doHere(command, (args[0] ?? {}) as LensArguments, parts);
      return done ?? (await next(command, args));
    },
  };
}

/** Undefined when it is the server's to do. */
function doHere(
  command: string,
  given: LensArguments,
  { starts, actions, open }: LensParts,
): Promise<void> | undefined {
  if (command === "sidestep.run") {
    const args = (given.args ?? {}) as Record<string, unknown>;
    if (typeof given.uri === "string") {
      return starts.file(vscode.Uri.parse(given.uri), args, openFolder(given.workspaceFolder));
    }
    if (typeof given.name === "string") return starts.named(given.name, args);
    return undefined;
  }
  const { runId } = given;
  if (typeof runId !== "string") return undefined;
  switch (command) {
    case "sidestep.interrupt":
      return actions.interrupt(runId);
    case "sidestep.resume":
    case "sidestep.retry":
      open(runId);
      return actions.continueRun(runId, { withCurrentSource: given.source === "current" });
    case "sidestep.background":
      return actions.background(runId);
    case "sidestep.showRun":
      open(runId);
      return Promise.resolve();
    default:
      return undefined;
  }
}

/** The folder of this window that is meant; undefined when none is named, or another window's. */
function openFolder(uri: unknown): vscode.WorkspaceFolder | undefined {
  return typeof uri === "string" ? vscode.workspace.getWorkspaceFolder(vscode.Uri.parse(uri)) : undefined;
}
