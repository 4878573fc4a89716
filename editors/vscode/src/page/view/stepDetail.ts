/** What is known of the selected step: its state, its error, what it prints and what it made. */
import { count, duration, usageText } from "../model/amounts";
import { renderMarkdown } from "../model/markdown";
import type { StepView } from "../model/runModel";
import { dataTree } from "./dataTree";
import { element, setText } from "./dom";

export interface StepOutput {
  output?: unknown;
  message?: string;
}

export interface StepDetailOwner {
  openScript(runId: string, line: number): void;
  openRun(runId: string): void;
  close(): void;
}

export class StepDetail {
  readonly root = element("section", { class: "detail-pane", "aria-label": "The selected step", hidden: true });
  readonly #body = element("div", { class: "detail-body" });
  readonly #live = element("pre", { class: "output", tabindex: "0", "aria-label": "Live output" });
  /** What the body was drawn from. */
  #drawn: unknown[] = [];

  constructor(private readonly owner: StepDetailOwner) {
    const close = element("button", { type: "button", class: "link close", click: () => owner.close() }, "Close");
    this.root.append(close, this.#body);
  }

  update(runId: string, step: StepView | undefined, live: string, made: StepOutput | undefined): void {
    this.root.hidden = step === undefined;
    if (!step) return;
    const from = [step, made, live !== ""];
    if (from.some((each, index) => each !== this.#drawn[index])) {
      this.#drawn = from;
      this.#body.replaceChildren(...this.#content(runId, step, live, made));
    }
    const atEnd = this.#live.scrollTop + this.#live.clientHeight >= this.#live.scrollHeight - 20;
    setText(this.#live, live);
    if (atEnd) this.#live.scrollTop = this.#live.scrollHeight;
  }

  #content(runId: string, step: StepView, live: string, made: StepOutput | undefined): HTMLElement[] {
    const parts: HTMLElement[] = [element("h2", {}, step.title), element("p", { class: "facts" }, factsOf(step))];
    const buttons = [];
    const { line, childRunId } = step;
    if (line !== undefined) {
      buttons.push(linkButton(`Open line ${line} of the script`, () => this.owner.openScript(runId, line)));
    }
    if (childRunId !== undefined) buttons.push(linkButton("Open the nested run", () => this.owner.openRun(childRunId)));
    if (buttons.length > 0) parts.push(element("p", {}, ...buttons));
    if (step.error) parts.push(element("pre", { class: "error" }, step.error.message));
    for (const note of step.notes) parts.push(element("p", { class: "note" }, note));
    // A command's result has what it printed; an agent's need not.
    if (live !== "" && made?.output === undefined) parts.push(element("h3", {}, "Live output"), this.#live);
    if (made?.message) parts.push(element("p", {}, made.message));
    if (made?.output !== undefined) parts.push(element("h3", {}, "Result"), ...result(made.output));
    return parts;
  }
}

function factsOf(step: StepView): string {
  const last = step.attempts.at(-1);
  const facts = [step.kind, step.status, `id ${step.stepId}`];
  if (last?.end !== undefined) facts.push(duration(last.end - last.start));
  if (step.attempts.length > 1) facts.push(count(step.attempts.length, "attempt"));
  if (step.late) facts.push("its result came late and was kept");
  const usage = usageText(step.usage);
  if (usage) facts.push(usage);
  return facts.join(" · ");
}

/** A command's texts as they were printed, an agent's text as Markdown, anything else as a tree. */
function result(output: unknown): HTMLElement[] {
  if (typeof output === "string") {
    const text = element("div", { class: "markdown" });
    text.innerHTML = renderMarkdown(output);
    return [text];
  }
  if (typeof output !== "object" || output === null || !("exit_code" in output)) return [dataTree(output)];
  const { stdout, stderr, ...rest } = output as Record<string, unknown>;
  const texts = [stdout, stderr].filter((text): text is string => typeof text === "string" && text !== "");
  return [...texts.map((text) => element("pre", { class: "output", tabindex: "0" }, text)), dataTree(rest)];
}

function linkButton(label: string, click: () => void): HTMLElement {
  return element("button", { type: "button", class: "link", click }, label);
}
