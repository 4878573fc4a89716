/** VS Code's own workspace trust, passed on; Sidestep never asks a second time. */
import * as vscode from "vscode";
import { folderUris } from "../start/folders";
import type { Sidecar } from "./sidecar";

/** The folders that the server may run workflows in. */
export function trustedFolders(): string[] {
  return vscode.workspace.isTrusted ? folderUris() : [];
}

export function passTrustOn(sidecar: Sidecar): vscode.Disposable {
  const trust = async (folders: string[]): Promise<void> => {
    if (sidecar.state.kind !== "running" || folders.length === 0) return;
    await sidecar.request("workflow/trust", { folders, trusted: true }).catch(() => undefined);
  };
  return vscode.Disposable.from(
    // With trust come the workspace's own interpreter, .venv and settings: another server may be the right one.
    vscode.workspace.onDidGrantWorkspaceTrust(() => sidecar.state.kind !== "idle" && void sidecar.restart()),
    vscode.workspace.onDidChangeWorkspaceFolders(({ added }) => {
      if (vscode.workspace.isTrusted) void trust(added.map(({ uri }) => uri.toString()));
    }),
  );
}
