/** Tells a person what the server refused, with the button that helps. */
import * as vscode from "vscode";
import { refusalOf, type Refusal } from "../client/problem";

interface Help {
  readonly title: string;
  readonly run: () => Thenable<unknown> | void;
}

export async function tellRefusal(error: unknown, doing: string): Promise<void> {
  const refusal = refusalOf(error);
  const help = helpFor(refusal);
  const message = `${doing}: ${refusal.message}${details(refusal)}`;
  const chosen = await vscode.window.showErrorMessage(message, ...(help ? [help.title] : []));
  if (chosen && help) await help.run();
}

function helpFor({ reason, data }: Refusal): Help | undefined {
  switch (reason) {
    case "workspaceUntrusted":
      return { title: "Manage Trust", run: () => vscode.commands.executeCommand("workbench.trust.manage") };
    case "scriptInvalid":
      return { title: "Show Problems", run: () => vscode.commands.executeCommand("workbench.actions.view.problems") };
    case "connection":
      return { title: "Restart Server", run: () => vscode.commands.executeCommand("sidestep.restartServer") };
    case "internal":
      return { title: "Show Log", run: () => vscode.commands.executeCommand("sidestep.showLog") };
    case "invalidTransition":
      return typeof data.rootRunId === "string"
        ? { title: "Open Root Run", run: () => vscode.commands.executeCommand("sidestep.openRun", data.rootRunId) }
        : undefined;
    default:
      return undefined;
  }
}

/** What stands in the data and not in the message. */
function details({ reason, data }: Refusal): string {
  if ((reason === "argsInvalid" || reason === "answerInvalid") && Array.isArray(data.problems)) {
    const told = (data.problems as { path?: string; message?: string }[]).map(
      ({ path, message }) => `${path || "it"}: ${message}`,
    );
    return ` — ${told.join("; ")}`;
  }
  if (reason === "storeUnavailable" && typeof data.todo === "string") return ` ${data.todo}`;
  return "";
}
