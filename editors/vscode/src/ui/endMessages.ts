/** A message when a run ends that nobody waits for in this window: with "Open", once, and never for old news. */
import * as vscode from "vscode";
import type { StatusChangedNotification } from "../../../../protocol/schema/sidestep";
import type { Sidecar } from "../client/sidecar";
import { isActive } from "../runs/status";

export interface EndParts {
  /** A progress of this window stands for the run, so its page is before the person. */
  readonly isAttended: (runId: string) => boolean;
  readonly open: (runId: string) => void;
  readonly goOn: (runId: string) => void;
}

export function tellEnds(sidecar: Sidecar, parts: EndParts): void {
  sidecar.onNotification("workflow/statusChanged", (change) => {
    const hasEnded = change.previous !== undefined && isActive(change.previous) && !isActive(change.status);
    if (hasEnded) void tellEnd(change, parts);
  });
}

async function tellEnd(change: StatusChangedNotification, { isAttended, open, goOn }: EndParts): Promise<void> {
  const { runId, status, reason, error, attention } = change;
  const name = change.label ?? change.name;
  const [look, resume] = ["Open", "Continue"];
  let chosen: string | undefined;
  if (status === "failed") {
    chosen = await vscode.window.showErrorMessage(`${name} failed: ${error?.message ?? "see its run"}`, look);
  } else if (status === "completed") {
    if (attention !== "notifyOnTerminal" || isAttended(runId)) return;
    chosen = await vscode.window.showInformationMessage(`${name} has completed.`, look);
  } else if (reason === "deadline") {
    chosen = await vscode.window.showWarningMessage(`${name} was interrupted: its time was up.`, resume, look);
  }
  if (chosen === look) open(runId);
  if (chosen === resume) goOn(runId);
}
