/** Where a server may be, best first. Knows nothing of the editor, and looks at no file. */
import path from "node:path";

export type Source = "setting" | "interpreter" | "venv" | "path" | "uvx";

export interface Candidate {
  readonly source: Source;
  /** The program and what stands before `serve` or `--version`. */
  readonly command: string;
  readonly args: readonly string[];
  /** For people. */
  readonly label: string;
}

export interface Surroundings {
  /** The setting's value; empty when it is not set. */
  readonly settingPath: string;
  /** The Python interpreter that was selected for the workspace. */
  readonly interpreter?: string;
  /** Paths of the open folders. */
  readonly folders: readonly string[];
  /** Programs of an untrusted workspace are never started. */
  readonly isTrusted: boolean;
  readonly isWindows: boolean;
  readonly home: string;
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly extensionVersion: string;
}

/** A setting is an order: when there is one, nothing else is looked at. */
export function candidates(around: Surroundings): Candidate[] {
  if (around.settingPath.trim()) {
    const command = expandPath(around.settingPath.trim(), around);
    return [{ source: "setting", command, args: [], label: `${command} (setting sidestep.server.path)` }];
  }
  const found: Candidate[] = [];
  if (around.isTrusted) {
    if (around.interpreter) {
      const command = around.interpreter;
      // -P keeps the folder that the server is started in off the module path.
      const args = ["-P", "-m", "sidestep"];
      found.push({ source: "interpreter", command, args, label: `the selected interpreter ${command}` });
    }
    for (const folder of around.folders) {
      const command = around.isWindows
        ? path.win32.join(folder, ".venv", "Scripts", "sidestep.exe")
        : path.posix.join(folder, ".venv", "bin", "sidestep");
      found.push({ source: "venv", command, args: [], label: command });
    }
  }
  found.push({ source: "path", command: "sidestep", args: [], label: "sidestep on PATH" });
  const pinned = `sidestep==${around.extensionVersion}`;
  found.push({ source: "uvx", command: "uvx", args: [pinned], label: `uvx ${pinned}` });
  return found;
}

/** `~`, `${workspaceFolder}`, `${userHome}` and `${env:NAME}`, and paths relative to the first folder. */
export function expandPath(
  written: string,
  around: Pick<Surroundings, "folders" | "home" | "environment" | "isWindows">,
): string {
  const paths = around.isWindows ? path.win32 : path.posix;
  const folder = around.folders[0] ?? around.home;
  const expanded = written
    .replace(/^~(?=$|[\\/])/, () => around.home)
    .replaceAll("${workspaceFolder}", folder)
    .replaceAll("${userHome}", around.home)
    .replace(/\$\{env:([^}]+)\}/g, (_, name: string) => around.environment[name] ?? "");
  const isBareName = !/[\\/]/.test(expanded);
  return isBareName || paths.isAbsolute(expanded) ? expanded : paths.join(folder, expanded);
}
