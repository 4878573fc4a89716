/** The extension's settings, typed. What they mean stands in package.json, where people read it. */
import * as vscode from "vscode";
import type { AgentConfig } from "../../../protocol/schema/sidestep";

export const SECTION = "sidestep";

export interface Settings {
  readonly serverPath: string;
  readonly serverArguments: readonly string[];
  readonly autoResume: boolean;
  readonly permissionPolicy: "" | "allow" | "ask" | "deny";
  readonly agents: Readonly<Record<string, AgentConfig>>;
  readonly defaultAgent: string;
  readonly languageModelIsAgent: boolean;
  readonly languageModel: string;
  readonly mode: "foreground" | "background";
  readonly askForArguments: "always" | "whenRequired";
  readonly opensPage: boolean;
}

export function readSettings(): Settings {
  const settings = vscode.workspace.getConfiguration(SECTION);
  return {
    serverPath: settings.get("server.path", ""),
    serverArguments: settings.get("server.arguments", []),
    autoResume: settings.get("autoResume", true),
    permissionPolicy: settings.get("permissionPolicy", ""),
    agents: settings.get("agents", {}),
    defaultAgent: settings.get("defaultAgent", ""),
    languageModelIsAgent: settings.get("languageModel.enabled", false),
    languageModel: settings.get("languageModel.model", ""),
    mode: settings.get("run.mode", "foreground"),
    askForArguments: settings.get("run.askForArguments", "always"),
    opensPage: settings.get("run.openPage", true),
  };
}

/** The settings a server is started with: a change of one needs a restart. */
export function needsRestart(change: vscode.ConfigurationChangeEvent): boolean {
  const read = ["server", "autoResume", "permissionPolicy", "agents", "defaultAgent", "languageModel.enabled"];
  return read.some((name) => change.affectsConfiguration(`${SECTION}.${name}`));
}
