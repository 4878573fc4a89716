/** What the script logged, oldest first; the newest part of it when there is very much. */
import { count } from "../model/amounts";
import type { LogLine } from "../model/runModel";
import { element, setText } from "./dom";

const LINES_MAX = 2_000;

export class LogView {
  readonly root: HTMLElement;
  readonly #list = element("ol", { class: "log", role: "log", "aria-live": "off" });
  readonly #note = element("p", { class: "empty" });
  #last = 0;

  constructor() {
    this.root = element("div", { class: "scroller", tabindex: "0" }, this.#note, this.#list);
  }

  update(lines: readonly LogLine[]): void {
    const newest = lines.at(-1)?.sequence ?? 0;
    if (newest < this.#last) {
      this.#list.replaceChildren();
      this.#last = 0;
    }
    const left = lines.length - LINES_MAX;
    const nothing = lines.length === 0 ? "Nothing was logged yet." : "";
    setText(this.#note, left > 0 ? `${count(left, "older line is", "older lines are")} not shown.` : nothing);
    if (newest === this.#last) return;
    const atEnd = this.root.scrollTop + this.root.clientHeight >= this.root.scrollHeight - 20;
    const fresh = lines.slice(-LINES_MAX).filter((line) => line.sequence > this.#last);
    this.#list.append(...fresh.map(lineElement));
    while (this.#list.childElementCount > LINES_MAX) this.#list.firstElementChild?.remove();
    this.#last = newest;
    if (atEnd) this.root.scrollTop = this.root.scrollHeight;
  }
}

function lineElement(line: LogLine): HTMLElement {
  const time = new Date(line.at);
  const when = element("time", { datetime: time.toISOString() }, time.toLocaleTimeString());
  const level = line.level === "info" ? null : element("span", { class: "level" }, line.level);
  return element("li", { class: line.level }, when, level, element("span", { class: "text" }, line.text));
}
