/** What a person does with a run, from the page, the tree, a lens or the palette. */
import { createHash } from "node:crypto";
import * as vscode from "vscode";
import type { Interaction, RunDetail } from "../../../../protocol/schema/sidestep";
import { refusalOf } from "../client/problem";
import type { Sidecar } from "../client/sidecar";
import type { RunActions } from "../runFeed";
import type { StartRuns } from "../start/startRuns";
import { tellRefusal } from "../ui/refusals";
import type { AttendedRuns } from "./attended";
import { scriptOf } from "./scriptFile";

export interface ActionParts {
  readonly sidecar: Sidecar;
  readonly attended: AttendedRuns;
  readonly starts: StartRuns;
}

export class Actions implements RunActions {
  constructor(private readonly parts: ActionParts) {}

  interrupt(runId: string): Promise<void> {
    return this.told("The run was not interrupted", () => this.parts.sidecar.request("workflow/interrupt", { runId }));
  }

  continueRun(runId: string, { withCurrentSource }: { withCurrentSource: boolean }): Promise<void> {
    return this.told("The run does not go on", async () => {
      const { run } = await this.parts.sidecar.request("workflow/get", { runId });
      if (withCurrentSource) await this.saveScript(run);
      const isRetry = withCurrentSource || run.status === "failed";
      const title = run.label ?? run.name;
      const { started, ended } = isRetry
        ? this.parts.attended.goOn(
            "workflow/retry",
            { runId, source: withCurrentSource ? "current" : "snapshot" },
            title,
          )
        : this.parts.attended.goOn("workflow/resume", { runId }, title);
      // Done when it goes on; what becomes of it then is told by its page and its progress.
      ended.catch(() => undefined);
      if ((await started) === undefined) await ended;
    });
  }

  background(runId: string): Promise<void> {
    return this.told("The run stays in the foreground", () =>
      this.parts.sidecar.request("workflow/background", { runId }),
    );
  }

  rerun(runId: string): Promise<void> {
    return this.told("The run was not started again", async () => {
      const { run } = await this.parts.sidecar.request("workflow/get", { runId, include: ["args", "source"] });
      const script = await scriptOf(this.parts.sidecar, run);
      const reference = script ? { name: script.name } : { source: run.source, name: run.name };
      await this.parts.starts.again(reference, run.args ?? {}, run.workspaceFolder, run.label ?? run.name);
    });
  }

  answer({ interactionId }: Interaction, answer: unknown): Promise<void> {
    return this.told("The answer was not taken", async () => {
      const { accepted } = await this.parts.sidecar.request("workflow/answer", { interactionId, answer });
      if (!accepted) void vscode.window.showInformationMessage("Somebody else has answered this question before.");
    });
  }

  openScript(runId: string, line?: number): Promise<void> {
    return this.told("The script cannot be shown", async () => {
      const { run } = await this.parts.sidecar.request("workflow/get", { runId, include: ["source"] });
      const script = await scriptOf(this.parts.sidecar, run);
      const document = script?.uri
        ? await vscode.workspace.openTextDocument(vscode.Uri.parse(script.uri))
        : await vscode.workspace.openTextDocument({ language: "python", content: run.source ?? "" });
      const at = new vscode.Position(Math.max(0, Math.min(line ?? 1, document.lineCount) - 1), 0);
      await vscode.window.showTextDocument(document, { selection: new vscode.Range(at, at) });
    });
  }

  async canUseCurrentSource(runId: string): Promise<boolean> {
    try {
      const { run } = await this.parts.sidecar.request("workflow/get", { runId });
      if (run.parentRunId || (run.status !== "failed" && run.status !== "interrupted")) return false;
      const script = await scriptOf(this.parts.sidecar, run);
      if (!script?.uri) return false;
      const uri = vscode.Uri.parse(script.uri);
      const open = vscode.workspace.textDocuments.find((document) => document.uri.fsPath === uri.fsPath);
      const content = open?.isDirty ? Buffer.from(open.getText()) : await vscode.workspace.fs.readFile(uri);
      return createHash("sha256").update(content).digest("hex") !== run.sourceHash;
    } catch {
      // No such file, or no server: then there is nothing to offer.
      return false;
    }
  }

  delete(runId: string): Promise<void> {
    return this.told("The run was not deleted", async () => {
      const remove = "Delete";
      const detail = "Its journal and its results are removed for good.";
      const chosen = await vscode.window.showWarningMessage("Delete this run?", { modal: true, detail }, remove);
      if (chosen) await this.parts.sidecar.request("workflow/delete", { runId });
    });
  }

  openReport(runId: string): Promise<void> {
    return this.told("The report cannot be shown", async () => {
      const { run } = await this.parts.sidecar.request("workflow/get", { runId, include: ["result"] });
      const report = run.result?.report;
      if (!report) return void vscode.window.showInformationMessage("This run has no report.");
      const document = await vscode.workspace.openTextDocument({ language: "markdown", content: report });
      await vscode.window.showTextDocument(document, { preview: true });
    });
  }

  /** What is edited and not saved goes on as it is seen. */
  private async saveScript(run: RunDetail): Promise<void> {
    const script = await scriptOf(this.parts.sidecar, run);
    const path = script?.uri && vscode.Uri.parse(script.uri).fsPath;
    const open = vscode.workspace.textDocuments.find((document) => document.uri.fsPath === path);
    if (open?.isDirty) await open.save();
  }

  private async told(otherwise: string, action: () => Promise<unknown>): Promise<void> {
    try {
      await action();
    } catch (error) {
      // A request that was withdrawn is what the person wanted.
      if (refusalOf(error).reason !== "requestCancelled") await tellRefusal(error, otherwise);
    }
  }
}
