/** The timeline: a row for each phase and step, with bars over the time the run was active. */
import { count, duration } from "../model/amounts";
import type { Row } from "../model/rows";
import type { RunState } from "../model/runModel";
import { bar, timeAxis, type TimeAxis } from "../model/timeAxis";
import { element, setAttribute, setText, statusGlyph } from "./dom";
import { VirtualRows } from "./virtualRows";

const SCALE_MARKS = 4;

type StepRow = Extract<Row, { kind: "step" }>;

export interface TimelineOwner {
  select(row: Row): void;
  expand(childRunId: string, expanded: boolean): void;
}

export class Timeline {
  readonly root: HTMLElement;
  readonly #rows: VirtualRows<Row>;
  readonly #scale = element("div", { class: "scale track" });
  readonly #gaps = element("div", { class: "gaps", "aria-hidden": "true" });
  readonly #empty = element("p", { class: "empty" });
  #axis: TimeAxis = timeAxis([], 0);
  #now = 0;
  #selected = "";

  constructor(owner: TimelineOwner) {
    this.#rows = new VirtualRows<Row>({
      label: "Timeline of phases and steps",
      create: (row) => row.append(...cells()),
      draw: (row, content) => this.#draw(row, content),
      chosen: (content) => owner.select(content),
      expand: (content, expanded) => {
        if (content.kind === "step" && content.step.childRunId) owner.expand(content.step.childRunId, expanded);
      },
    });
    const head = element("div", { class: "head", "aria-hidden": "true" });
    head.append(element("span"), this.#scale, element("span"));
    this.root = element("div", { class: "timeline" }, head, this.#empty, this.#gaps, this.#rows.scroller);
  }

  update(rows: readonly Row[], run: RunState, now: number, selected: string): void {
    this.#now = now;
    this.#selected = selected;
    this.#axis = timeAxis(run.executions, now);
    this.#drawScale();
    const hasEnded = run.status === "completed" || run.status === "failed";
    setText(this.#empty, rows.length > 0 ? "" : hasEnded ? "This run has no steps." : "No step has started yet.");
    this.#rows.update(rows);
  }

  #drawScale(): void {
    while (this.#scale.childElementCount < SCALE_MARKS) this.#scale.append(element("span", { class: "mark" }));
    [...this.#scale.children].forEach((mark, index) => {
      const ms = (this.#axis.activeMs * index) / SCALE_MARKS;
      setText(mark, index === 0 ? "0" : duration(ms));
      (mark as HTMLElement).style.left = `${(100 * index) / SCALE_MARKS}%`;
    });
    const gaps = this.#axis.gaps;
    while (this.#gaps.childElementCount > gaps.length) this.#gaps.lastElementChild?.remove();
    while (this.#gaps.childElementCount < gaps.length) this.#gaps.append(element("span", { class: "gap" }));
    gaps.forEach((gap, index) => ((this.#gaps.children[index] as HTMLElement).style.left = `${gap * 100}%`));
  }

  #draw(row: HTMLElement, content: Row): void {
    const [twistie, glyph, name, track, time] = row.querySelectorAll<HTMLElement>("[data-cell]");
    if (!twistie || !glyph || !name || !track || !time) return;
    row.classList.toggle("phase", content.kind === "phase");
    setAttribute(row, "aria-selected", String(content.id === this.#selected));
    (name.parentElement as HTMLElement).style.paddingLeft = `${(content.level - 1) * 14}px`;
    const { expanded } = content.kind === "step" ? content : {};
    setText(twistie, expanded === undefined ? "" : expanded ? "▾" : "▸");
    if (content.kind === "step") this.#drawStep(row, content, glyph, name, track, time);
    else {
      setAttribute(glyph, "class", "glyph");
      setText(glyph, "");
      const [text, beside, label] = content.kind === "phase" ? phaseWords(content) : ["Loading …", "", "Loading"];
      setText(name, text);
      setText(time, beside);
      setAttribute(row, "aria-label", label);
      track.replaceChildren();
    }
  }

  #drawStep(
    row: HTMLElement,
    { step, kept }: StepRow,
    glyph: HTMLElement,
    name: HTMLElement,
    track: HTMLElement,
    time: HTMLElement,
  ): void {
    setAttribute(glyph, "class", `glyph ${step.status}`);
    setText(glyph, statusGlyph(step.status));
    setText(name, step.title);
    const last = step.attempts.at(-1);
    const took = last ? (last.end ?? this.#now) - last.start : 0;
    const words = duration(took);
    setText(time, kept ? `↺ ${words}` : words);
    setAttribute(time, "title", kept ? "Kept: done before the run was continued, not repeated" : undefined);
    const attempts = step.attempts.length > 1 ? `, attempt ${step.attempts.length}` : "";
    setAttribute(row, "aria-label", `${step.title}, ${step.status}${kept ? ", kept" : ""}, ${words}${attempts}`);
    while (track.childElementCount > step.attempts.length) track.lastElementChild?.remove();
    while (track.childElementCount < step.attempts.length) track.append(element("span"));
    step.attempts.forEach((attempt, index) => {
      const drawn = track.children[index] as HTMLElement;
      const place = bar(this.#axis, attempt.start, attempt.end ?? this.#now);
      setAttribute(drawn, "class", `bar ${attempt.status}`);
      drawn.style.left = `${place.left * 100}%`;
      drawn.style.width = `${place.width * 100}%`;
    });
  }
}

function cells(): HTMLElement[] {
  const name = element("span", { class: "what" });
  name.append(
    element("span", { "data-cell": "twistie", class: "twistie", "aria-hidden": "true" }),
    element("span", { "data-cell": "glyph", class: "glyph", "aria-hidden": "true" }),
    element("span", { "data-cell": "name", class: "name" }),
  );
  const track = element("span", { "data-cell": "track", class: "track", "aria-hidden": "true" });
  return [name, track, element("span", { "data-cell": "time", class: "time", "aria-hidden": "true" })];
}

function phaseWords(row: Extract<Row, { kind: "phase" }>): [string, string, string] {
  const name = row.phase.details ? `${row.phase.name} (${row.phase.details})` : row.phase.name;
  const parts = [count(row.steps, "step")];
  if (row.failed > 0) parts.push(`${row.failed} failed`);
  if (row.running > 0) parts.push(`${row.running} running`);
  return [name, parts[0] ?? "", `Phase ${name}, ${parts.join(", ")}`];
}
