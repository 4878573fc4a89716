/**
 * Asks the person what runs ask: `workflow/interact`.
 *
 * A run that is waited for in this window asks at once, and so does a permission; any other says so in a message, for
 * a picker that opens under somebody's typing takes the next Enter for an answer. One stands before the person at a
 * time. Whoever goes away leaves the question open: it stays in the tree, on the page and in the status bar.
 */
import * as vscode from "vscode";
import type { InteractParams, Interaction, InteractResult } from "../../../../protocol/schema/sidestep";
import { fieldOf } from "../start/fields";
import { askForValue } from "../start/valueInput";

/** Undefined: the person has no answer. */
type Answer = { readonly value: unknown } | undefined;
export type Question = Pick<Interaction, "kind" | "title" | "detail" | "choices" | "schema" | "runId">;

export interface About {
  /** Of the run's root, for people. */
  readonly name: string;
  /** Whether the person waits for that root here. */
  readonly isAttended: boolean;
}

export interface QuestionParts {
  readonly about: (runId: string) => Promise<About>;
  readonly open: (runId: string) => void;
}

export class Questions {
  private last: Promise<unknown> = Promise.resolve();

  constructor(private readonly parts: QuestionParts) {}

  /** Serves `workflow/interact`; null leaves the question open. */
  interact(params: InteractParams, token: vscode.CancellationToken): Promise<InteractResult | null> {
    return this.inTurn(async () => {
      if (token.isCancellationRequested) return null;
      const answer = await this.offer(params, token);
      return answer ? { answer: answer.value } : null;
    });
  }

  /** Asks now, because the person said so. */
  async ask(question: Question): Promise<Answer> {
    const { name } = await this.parts.about(question.runId);
    return question.kind === "permission" ? this.permission(name, question) : this.picker(name, question);
  }

  private async offer(params: InteractParams, token: vscode.CancellationToken): Promise<Answer> {
    const { name, isAttended } = await this.parts.about(params.runId);
    if (params.kind === "permission") return this.permission(name, params, token);
    if (isAttended) return this.picker(name, params, token);
    const [answer, open] = ["Answer…", "Open Run"];
    const message = vscode.window.showInformationMessage(`${name} asks: ${params.title}`, answer, open);
    const chosen = await Promise.race([message, withdrawn(token)]);
    if (chosen === open) this.parts.open(params.runId);
    return chosen === answer ? this.picker(name, params, token) : undefined;
  }

  private picker(name: string, question: Question, token?: vscode.CancellationToken): Promise<Answer> {
    const title = `${name}: ${question.title}`;
    if (question.choices?.length) return pickChoice(question, title, token);
    // Without schema the answer is text, and empty text is none.
    const field = fieldOf("answer", question.schema ?? { type: "string" }, true);
    const prompt = [question.detail, field.description].filter(Boolean).join(" — ");
    return askForValue(field, field.defaultValue, { title, prompt: prompt || undefined }, token);
  }

  private async permission(name: string, question: Question, token?: vscode.CancellationToken): Promise<Answer> {
    const options = { modal: true, detail: question.detail };
    const items = (question.choices ?? []).map(({ id, title }) => ({ id, title }));
    const message = vscode.window.showWarningMessage(`${name}: ${question.title}`, options, ...items);
    const chosen = await Promise.race([message, withdrawn(token)]);
    return chosen ? { value: chosen.id } : undefined;
  }

  private inTurn<T>(task: () => Promise<T>): Promise<T> {
    const turn = this.last.then(task, task);
    this.last = turn.catch(() => undefined);
    return turn;
  }
}

async function pickChoice(question: Question, title: string, token?: vscode.CancellationToken): Promise<Answer> {
  const items = (question.choices ?? []).map((choice) => ({ label: choice.title, id: choice.id }));
  const options = { title, placeHolder: question.detail ?? "Choose an answer", ignoreFocusOut: true };
  const chosen = await vscode.window.showQuickPick(items, options, token);
  return chosen && { value: chosen.id };
}

/** Messages cannot be taken down: whoever waits for one stops waiting when the question is withdrawn. */
function withdrawn(token: vscode.CancellationToken | undefined): Promise<undefined> {
  return new Promise((resolve) => token?.onCancellationRequested(() => resolve(undefined)));
}
