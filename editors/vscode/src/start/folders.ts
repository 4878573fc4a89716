/** Which of the open folders a run is about. */
import * as vscode from "vscode";

export function folderUris(): string[] {
  return (vscode.workspace.workspaceFolders ?? [])
    .filter(({ uri }) => uri.scheme === "file")
    .map(({ uri }) => uri.toString());
}

/** The folder of a file, the only one there is, or the one the person picks. */
export async function pickFolder(near: vscode.Uri | undefined): Promise<vscode.WorkspaceFolder | undefined> {
  const containing = near && vscode.workspace.getWorkspaceFolder(near);
  if (containing) return containing;
  const folders = vscode.workspace.workspaceFolders ?? [];
  if (folders.length === 0) {
    const open = "Open Folder…";
    const chosen = await vscode.window.showInformationMessage("A workflow runs in a folder. Open one first.", open);
    if (chosen) await vscode.commands.executeCommand("vscode.openFolder");
    return undefined;
  }
  if (folders.length === 1) return folders[0];
  return vscode.window.showWorkspaceFolderPick({ placeHolder: "Run it in which folder?", ignoreFocusOut: true });
}
