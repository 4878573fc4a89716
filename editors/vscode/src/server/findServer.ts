/** Finds the server for this window: looks around, and asks the candidates. */
import * as os from "node:os";
import * as vscode from "vscode";
import { readSettings } from "../settings";
import { candidates } from "./candidates";
import { discover, type Discovery } from "./discovery";
import { selectedInterpreter } from "./interpreter";
import { probeIn } from "./probe";

/** `quietFolder` is no workspace: a program that is only asked for its version finds nothing of anybody's there. */
export async function findServer(extensionVersion: string, quietFolder: string): Promise<Discovery> {
  const folders = (vscode.workspace.workspaceFolders ?? [])
    .filter(({ uri }) => uri.scheme === "file")
    .map(({ uri }) => uri);
  const { isTrusted } = vscode.workspace;
  const from = candidates({
    settingPath: readSettings().serverPath,
    interpreter: isTrusted ? await selectedInterpreter(folders[0]) : undefined,
    folders: folders.map(({ fsPath }) => fsPath),
    isTrusted,
    isWindows: process.platform === "win32",
    home: os.homedir(),
    environment: process.env,
    extensionVersion,
  });
  return discover(from, probeIn(quietFolder), extensionVersion);
}
