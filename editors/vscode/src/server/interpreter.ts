/** The Python interpreter selected for a folder; the Python extension is asked when it is there, and never needed. */
import * as vscode from "vscode";

/** As much of the Python extension's interface as is used. */
interface PythonExtension {
  readonly environments?: {
    getActiveEnvironmentPath(resource?: vscode.Uri): { readonly path: string };
    resolveEnvironment(path: unknown): Promise<{ readonly executable: { readonly uri?: vscode.Uri } } | undefined>;
  };
}

export async function selectedInterpreter(folder: vscode.Uri | undefined): Promise<string | undefined> {
  return (await ofPythonExtension(folder)) ?? ofSetting(folder);
}

async function ofPythonExtension(folder: vscode.Uri | undefined): Promise<string | undefined> {
  const extension = vscode.extensions.getExtension<PythonExtension>("ms-python.python");
  if (!extension) return undefined;
  try {
    const { environments } = await extension.activate();
    const resolved = await environments?.resolveEnvironment(environments.getActiveEnvironmentPath(folder));
    return resolved?.executable.uri?.fsPath;
  } catch {
    // Somebody else's extension is no reason to do without a server.
    return undefined;
  }
}

function ofSetting(folder: vscode.Uri | undefined): string | undefined {
  const written = vscode.workspace.getConfiguration("python", folder).get<string>("defaultInterpreterPath");
  // "python" is that setting's default, which nobody has selected.
  if (!written || written === "python") return undefined;
  return written.replaceAll("${workspaceFolder}", folder?.fsPath ?? "");
}
