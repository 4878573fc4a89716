/** The picker of scripts; those that cannot run say why. */
import * as vscode from "vscode";
import type { ScriptInfo } from "../../../../protocol/schema/sidestep";

interface Row extends vscode.QuickPickItem {
  readonly script?: ScriptInfo;
}

const SCOPES: readonly [string, string][] = [
  ["project", "this project's"],
  ["user", "yours"],
  ["builtin", "built in"],
];

export async function pickScript(scripts: readonly ScriptInfo[]): Promise<ScriptInfo | undefined> {
  const known = new Set(SCOPES.map(([scope]) => scope));
  const groups: [string, ScriptInfo[]][] = SCOPES.map(([scope, title]) => [
    title,
    scripts.filter((script) => script.scope === scope),
  ]);
  groups.push(["others", scripts.filter((script) => !known.has(script.scope))]);
  const rows: Row[] = groups
    .filter(([, members]) => members.length > 0)
    .flatMap(([title, members]) => [{ label: title, kind: vscode.QuickPickItemKind.Separator }, ...members.map(rowOf)]);
  const options = {
    title: "Run Workflow",
    placeHolder: "Which workflow?",
    matchOnDescription: true,
    matchOnDetail: true,
    ignoreFocusOut: true,
  };
  const { script } = (await vscode.window.showQuickPick(rows, options)) ?? {};
  if (!script || script.runnable) return script;
  const edit = "Open Script";
  const why = script.blockedReason ?? "it cannot run";
  const chosen = await vscode.window.showErrorMessage(
    `${script.name} cannot run: ${why}`,
    ...(script.uri ? [edit] : []),
  );
  if (chosen && script.uri) await vscode.window.showTextDocument(vscode.Uri.parse(script.uri));
  return undefined;
}

function rowOf(script: ScriptInfo): Row {
  const icon = script.runnable ? "play" : "circle-slash";
  const detail = script.runnable ? script.description : `Cannot run: ${script.blockedReason ?? "unknown reason"}`;
  return { label: `$(${icon}) ${script.name}`, detail, script };
}
