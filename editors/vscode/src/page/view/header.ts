/** The head of the page: what the run is, how it stands, and what can be done with it. */
import type { RunDetail } from "../../../../../protocol/schema/sidestep";
import { statusText } from "../../runs/status";
import { count, duration, usageText } from "../model/amounts";
import { buttonsOf, hintOf, type Button, type ButtonName } from "../model/runActions";
import type { RunState } from "../model/runModel";
import { element, setAttribute, setText, statusGlyph } from "./dom";

export interface HeaderFacts {
  run: RunDetail;
  state: RunState;
  activeMs: number;
  scriptEdited: boolean;
  /** Empty while connected. */
  connection: string;
  /** Actions under way. */
  busy: ReadonlySet<string>;
}

export class Header {
  readonly root: HTMLElement;
  readonly #title = element("h1");
  readonly #pill = element("span", { class: "pill", id: "status" });
  readonly #elapsed = element("span", { class: "elapsed", id: "elapsed", title: "Time the run was active" });
  readonly #facts = element("span", { class: "facts" });
  readonly #buttons = element("div", { class: "buttons", role: "toolbar", "aria-label": "Actions of the run" });
  readonly #connection = element("p", { class: "connection", role: "alert" });
  readonly #error = element("div", { class: "error" });
  /** Told to screen readers when it changes. */
  readonly #news = element("p", { class: "hidden", role: "status", "aria-live": "polite" });
  #shown = "";

  constructor(private readonly act: (name: ButtonName, line?: number) => void) {
    const line = element("div", { class: "line" }, this.#pill, this.#elapsed, this.#facts);
    this.root = element("header", {}, this.#title, line, this.#buttons, this.#connection, this.#error, this.#news);
  }

  update(facts: HeaderFacts): void {
    const { run, state } = facts;
    setText(this.#title, run.label ? `${run.label} (${run.name})` : run.name);
    const status = statusText(state.status, state.reason);
    setAttribute(this.#pill, "class", `pill ${state.status}`);
    setText(this.#pill, `${statusGlyph(state.status)} ${status}`);
    setText(this.#elapsed, duration(facts.activeMs));
    setText(this.#facts, factsOf(run, state).join(" · "));
    this.#drawButtons(buttonsOf(run, state, facts.scriptEdited), facts.busy);
    setText(this.#connection, facts.connection);
    this.#drawError(state, facts.scriptEdited);
    const phase = state.phases.at(-1)?.name;
    setText(this.#news, state.status === "running" && phase ? `Run ${status}, phase ${phase}` : `Run ${status}`);
  }

  #drawButtons(buttons: readonly Button[], busy: ReadonlySet<string>): void {
    const wanted = JSON.stringify(buttons);
    if (wanted !== this.#shown) {
      this.#shown = wanted;
      const focused = document.activeElement?.getAttribute("data-action");
      this.#buttons.replaceChildren(
        ...buttons.map(({ name, label, title, primary }) =>
          element(
            "button",
            {
              type: "button",
              title,
              "data-action": name,
              class: primary ? "primary" : undefined,
              click: (event: MouseEvent) => {
                if ((event.currentTarget as Element).getAttribute("aria-disabled") !== "true") this.act(name);
              },
            },
            label,
          ),
        ),
      );
      // Who pressed Interrupt by key stands on what took its place, not at the top of the page.
      if (focused) this.#focus(focused);
    }
    for (const button of this.#buttons.children) {
      setAttribute(button, "aria-disabled", busy.has(button.getAttribute("data-action") ?? "") ? "true" : undefined);
    }
  }

  #focus(action: string): void {
    const buttons = [...this.#buttons.querySelectorAll("button")];
    (buttons.find((button) => button.dataset["action"] === action) ?? buttons[0])?.focus();
  }

  #drawError(state: RunState, scriptEdited: boolean): void {
    const { error } = state;
    const text = error ? `${error.message}\n${hintOf(state, scriptEdited)}`.trim() : "";
    if (this.#error.dataset["text"] === text) return;
    this.#error.dataset["text"] = text;
    this.#error.replaceChildren();
    if (!error) return;
    const where = `${error.file ?? "the script"}${error.line === undefined ? "" : `, line ${error.line}`}`;
    const open = element(
      "button",
      { type: "button", class: "link", click: () => this.act("openScript", error.line) },
      `Open ${where}`,
    );
    this.#error.append(element("p", {}, text), open);
  }
}

function factsOf(run: RunDetail, state: RunState): string[] {
  const { completed, failed, running } = tally(state);
  const facts = [count(state.steps.size, "step")];
  if (completed > 0 && completed < state.steps.size) facts.push(`${completed} completed`);
  if (running > 0) facts.push(`${running} running`);
  if (failed > 0) facts.push(`${failed} failed`);
  if (run.steps.reused > 0) facts.push(`${run.steps.reused} kept from before`);
  const usage = usageText(run.usage);
  if (usage) facts.push(usage);
  if (run.deadlineAt) facts.push(`deadline ${new Date(run.deadlineAt).toLocaleString()}`);
  return facts;
}

function tally(state: RunState): { completed: number; failed: number; running: number } {
  const counts = { completed: 0, failed: 0, running: 0 };
  for (const { status } of state.steps.values()) if (status !== "interrupted") counts[status] += 1;
  return counts;
}
