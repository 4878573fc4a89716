/** Starts workflows: which script, in which folder, with which arguments, and shown how. */
import { randomUUID } from "node:crypto";
import * as vscode from "vscode";
import type { JsonObject, ScriptInfo, ScriptRef } from "../../../../protocol/schema/sidestep";
import type { Sidecar } from "../client/sidecar";
import type { AttendedRuns } from "../runs/attended";
import { readSettings } from "../settings";
import { tellRefusal } from "../ui/refusals";
import { askForArguments } from "./argumentsForm";
import { pickFolder } from "./folders";
import { pickScript } from "./scriptPicker";
import type { Seed } from "./seed";

export interface StartParts {
  readonly sidecar: Sidecar;
  readonly attended: AttendedRuns;
  /** Opens a run's page. */
  readonly open: (runId: string) => void;
}

export class StartRuns {
  constructor(private readonly parts: StartParts) {}

  /** Asks for script and arguments, near a folder or file. */
  async pick(near?: vscode.Uri, seed: Seed = {}): Promise<void> {
    if (!(await isTrusted())) return;
    const folder = await pickFolder(near);
    if (!folder) return;
    const scripts = await this.scripts(folder);
    const script = scripts && (await pickScript(scripts));
    if (script) await this.withForm({ name: script.name }, script, folder, {}, seed);
  }

  /** A script of a known name, such as `repo-report`. */
  async named(name: string, given: JsonObject): Promise<void> {
    if (!(await isTrusted())) return;
    const folder = await pickFolder(vscode.window.activeTextEditor?.document.uri);
    const script = folder && (await this.scripts(folder))?.find((one) => one.name === name);
    if (folder && script) await this.withForm({ name }, script, folder, given, {});
    else if (folder) void vscode.window.showErrorMessage(`There is no workflow ${name} in ${folder.name}.`);
  }

  /** The workflow in a file, which is saved first: what runs is what is seen. `where` is asked for when left out. */
  async file(uri: vscode.Uri, given: JsonObject = {}, where?: vscode.WorkspaceFolder): Promise<void> {
    if (!(await isTrusted())) return;
    const open = vscode.workspace.textDocuments.find((document) => document.uri.toString() === uri.toString());
    if (open?.isDirty && !(await open.save())) return;
    const folder = where ?? (await pickFolder(uri));
    if (!folder) return;
    const scripts = await this.scripts(folder);
    if (!scripts) return;
    const script = scripts.find((one) => one.uri !== undefined && isSameFile(vscode.Uri.parse(one.uri), uri));
    if (script && !script.runnable) {
      const show = "Show Problems";
      const chosen = await vscode.window.showErrorMessage(`${script.name} cannot run: ${script.blockedReason}`, show);
      if (chosen) await vscode.commands.executeCommand("workbench.actions.view.problems");
      return;
    }
    const reference = script ? { name: script.name } : { uri: uri.toString() };
    await this.withForm(reference, script, folder, given, {});
  }

  /** The same again: nothing is asked. */
  async again(script: ScriptRef, args: JsonObject, workspaceFolder: string, name: string): Promise<void> {
    await this.start(script, args, workspaceFolder, name);
  }

  private async withForm(
    reference: ScriptRef,
    script: ScriptInfo | undefined,
    folder: vscode.WorkspaceFolder,
    given: JsonObject,
    seed: Seed,
  ): Promise<void> {
    const name = script?.name ?? vscode.workspace.asRelativePath(reference.uri ?? "");
    const argsSchema = script?.argsSchema ?? {};
    const args = await askForArguments({ name, argsSchema, given, seed, when: readSettings().askForArguments });
    if (args) await this.start(reference, args, folder.uri.toString(), name);
  }

  private async start(script: ScriptRef, args: JsonObject, workspaceFolder: string, name: string): Promise<void> {
    const { sidecar, attended, open } = this.parts;
    const { mode, opensPage } = readSettings();
    try {
      if (mode === "background") {
        const startKey = randomUUID();
        const params = { script, args, workspaceFolder, mode, startKey };
        const { runId } = await sidecar.request("workflow/start", params, undefined, () => true);
        if (opensPage) open(runId);
        return;
      }
      const { started, ended } = attended.start({ script, args, workspaceFolder }, name);
      // Done when it runs; what becomes of it then is told by its page and its progress.
      ended.catch(() => undefined);
      const runId = await started;
      if (runId === undefined) await ended;
      else if (opensPage) open(runId);
    } catch (error) {
      await tellRefusal(error, `${name} was not started`);
    }
  }

  private async scripts(folder: vscode.WorkspaceFolder): Promise<ScriptInfo[] | undefined> {
    try {
      const params = { workspaceFolder: folder.uri.toString() };
      // A question changes nothing: a server that died under it is no reason to bother anybody.
      return (await this.parts.sidecar.request("workflow/scripts", params, undefined, () => true)).scripts;
    } catch (error) {
      await tellRefusal(error, "The workflows cannot be listed");
      return undefined;
    }
  }
}

/** A message with the button to VS Code's own question, in a workspace that is not trusted. */
async function isTrusted(): Promise<boolean> {
  if (vscode.workspace.isTrusted) return true;
  const manage = "Manage Trust";
  const chosen = await vscode.window.showWarningMessage("Workflows run in trusted workspaces only.", manage);
  if (chosen) await vscode.commands.executeCommand("workbench.trust.manage");
  return false;
}

function isSameFile(a: vscode.Uri, b: vscode.Uri): boolean {
  return a.fsPath === b.fsPath;
}
