/** The editor's language model as an agent: vscode.lm behind a Chat. */
import * as vscode from "vscode";
import type { RunTaskParams, RunTaskResult } from "../../../../protocol/schema/sidestep";
import { converse, type Chat, type Reply, type ToolCall } from "./conversation";

export interface ModelParts {
  /** Family or id of the model; any when empty. */
  readonly wanted: () => string;
  readonly progress: (taskId: string, message: string) => void;
}

/**
 * Does one agent step.
 *
 * @throws Error for people: there is no model, or the step works where the editor's tools do not reach.
 */
export async function doWithEditorModel(
  task: RunTaskParams,
  signal: AbortSignal,
  parts: ModelParts,
): Promise<RunTaskResult> {
  const isOpen = (vscode.workspace.workspaceFolders ?? []).some(
    ({ uri }) => task.cwd === uri.fsPath || task.cwd.startsWith(`${uri.fsPath}/`),
  );
  if (!isOpen) {
    throw new Error(
      `The step works in ${task.cwd}, and the editor's language model only in open folders. ` +
        "Configure another agent for steps with isolation, or leave the isolation out.",
    );
  }
  const model = await selectModel(parts.wanted());
  parts.progress(task.taskId, `asks ${model.name}`);
  return converse(task, new ModelChat(model), signal, (message) => parts.progress(task.taskId, message));
}

async function selectModel(wanted: string): Promise<vscode.LanguageModelChat> {
  const models = await vscode.lm.selectChatModels();
  const fitting = wanted ? models.filter(({ id, family, name }) => [id, family, name].includes(wanted)) : models;
  const model = fitting[0];
  if (model) return model;
  if (models.length > 0) {
    const names = models.map(({ id }) => id).join(", ");
    throw new Error(
      `The language model ${wanted} is not here; the setting sidestep.languageModel.model may be one of ${names}.`,
    );
  }
  throw new Error(
    "This window has no language model. Install an extension that brings one and sign in, " +
      "or configure another agent in .sidestep/config.toml.",
  );
}

class ModelChat implements Chat {
  private readonly messages: vscode.LanguageModelChatMessage[] = [];

  constructor(private readonly model: vscode.LanguageModelChat) {}

  async say(said: Parameters<Chat["say"]>[0], signal: AbortSignal): Promise<Reply> {
    this.messages.push(vscode.LanguageModelChatMessage.User(typeof said === "string" ? said : said.map(resultPart)));
    return withToken(signal, async (token) => {
      const options: vscode.LanguageModelChatRequestOptions = {
        justification:
          "A workflow has an agent step, " +
          "and the setting sidestep.languageModel.enabled gives it to the editor's model.",
        tools: vscode.lm.tools.map(({ name, description, inputSchema }) => ({ name, description, inputSchema })),
      };
      const response = await this.model.sendRequest(this.messages, options, token);
      let text = "";
      const calls: vscode.LanguageModelToolCallPart[] = [];
      for await (const part of response.stream) {
        if (part instanceof vscode.LanguageModelTextPart) text += part.value;
        else if (part instanceof vscode.LanguageModelToolCallPart) calls.push(part);
      }
      const parts = [...(text ? [new vscode.LanguageModelTextPart(text)] : []), ...calls];
      this.messages.push(vscode.LanguageModelChatMessage.Assistant(parts));
      return { text, calls };
    });
  }

  use(call: ToolCall, signal: AbortSignal): Promise<unknown> {
    return withToken(signal, async (token) => {
      try {
        const options = { input: call.input, toolInvocationToken: undefined };
        return (await vscode.lm.invokeTool(call.name, options, token)).content;
      } catch (error) {
        signal.throwIfAborted();
        // The model is told what went wrong, and may do without.
        return [new vscode.LanguageModelTextPart(`The tool failed: ${(error as Error).message}`)];
      }
    });
  }
}

function resultPart({
  call,
  result,
}: {
  readonly call: ToolCall;
  readonly result: unknown;
}): vscode.LanguageModelToolResultPart {
  return new vscode.LanguageModelToolResultPart(call.callId, result as vscode.LanguageModelTextPart[]);
}

async function withToken<T>(signal: AbortSignal, action: (token: vscode.CancellationToken) => Promise<T>): Promise<T> {
  const source = new vscode.CancellationTokenSource();
  const abort = (): void => source.cancel();
  signal.addEventListener("abort", abort, { once: true });
  if (signal.aborted) abort();
  try {
    return await action(source.token);
  } finally {
    signal.removeEventListener("abort", abort);
    source.dispose();
  }
}
