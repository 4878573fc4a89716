/** Any JSON value as a tree that opens by key and by click; what is closed is not in the document. */
import { count } from "../model/amounts";
import { element } from "./dom";

/** Entries shown at once; a button brings the next ones. */
const ENTRIES_MAX = 200;
const OPEN_ENTRIES_MAX = 20;

export function dataTree(value: unknown): HTMLElement {
  return element("div", { class: "data" }, branch("", value, true));
}

function branch(name: string, value: unknown, open: boolean): HTMLElement {
  const key = name === "" ? "" : element("span", { class: "key" }, `${name}: `);
  if (typeof value !== "object" || value === null || Object.keys(value).length === 0) {
    return element("div", { class: "leaf" }, key, element("span", { class: kindOf(value) }, JSON.stringify(value)));
  }
  const entries = Object.entries(value);
  const amount = Array.isArray(value) ? count(entries.length, "item") : count(entries.length, "field");
  const summary = element("summary", {}, key, element("span", { class: "amount" }, amount));
  const details = element("details", {}, summary);
  let filled = false;
  const fill = (): void => {
    if (filled) return;
    filled = true;
    addEntries(details, entries, 0);
  };
  details.addEventListener("toggle", () => details.open && fill());
  if (open && entries.length <= OPEN_ENTRIES_MAX) {
    details.open = true;
    fill();
  }
  return details;
}

function addEntries(details: HTMLElement, entries: [string, unknown][], from: number): void {
  const until = from + ENTRIES_MAX;
  details.append(...entries.slice(from, until).map(([name, child]) => branch(name, child, false)));
  if (until >= entries.length) return;
  const words = `Show more of ${count(entries.length, "entry", "entries")}`;
  const more = element("button", { type: "button", class: "link" }, words);
  more.addEventListener("click", () => {
    const last = details.lastElementChild;
    more.remove();
    addEntries(details, entries, until);
    // The button is gone; the keyboard goes on where it was.
    (last?.nextElementSibling?.querySelector("summary") ?? details.querySelector("summary"))?.focus();
  });
  details.append(more);
}

function kindOf(value: unknown): string {
  return value === null ? "null" : typeof value;
}
