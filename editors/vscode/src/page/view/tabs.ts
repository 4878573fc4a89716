/** Tabs as the ARIA pattern has them: arrow keys move between them, one of them is reached by Tab. */
import { element, setText } from "./dom";

export class Tabs {
  readonly root: HTMLElement;
  readonly #list: HTMLElement;
  readonly #tabs = new Map<string, HTMLElement>();
  readonly #panels: ReadonlyMap<string, HTMLElement>;
  #shown = "";

  constructor(
    panels: ReadonlyMap<string, HTMLElement>,
    private readonly chosen: (name: string) => void,
  ) {
    this.#panels = panels;
    this.#list = element("div", { class: "tabs", role: "tablist", "aria-label": "Views of the run" });
    this.root = element("div", { class: "views" }, this.#list);
    for (const [name, panel] of panels) {
      const tab = element("button", { type: "button", role: "tab", "aria-controls": `panel-${name}` });
      tab.id = `tab-${name}`;
      tab.addEventListener("click", () => this.chosen(name));
      this.#tabs.set(name, tab);
      this.#list.append(tab);
      panel.id = `panel-${name}`;
      panel.setAttribute("role", "tabpanel");
      panel.setAttribute("aria-labelledby", tab.id);
      this.root.append(panel);
    }
    this.#list.addEventListener("keydown", (event) => this.#key(event));
  }

  label(name: string, text: string): void {
    const tab = this.#tabs.get(name);
    if (tab) setText(tab, text);
  }

  show(name: string): void {
    if (name === this.#shown) return;
    this.#shown = name;
    for (const [each, tab] of this.#tabs) {
      tab.setAttribute("aria-selected", String(each === name));
      tab.tabIndex = each === name ? 0 : -1;
    }
    for (const [each, panel] of this.#panels) panel.hidden = each !== name;
  }

  #key(event: KeyboardEvent): void {
    const names = [...this.#tabs.keys()];
    const at = names.indexOf(this.#shown);
    const moves: Record<string, number> = {
      ArrowRight: (at + 1) % names.length,
      ArrowLeft: (at - 1 + names.length) % names.length,
      Home: 0,
      End: names.length - 1,
    };
    const target = names[moves[event.key] ?? -1];
    if (target === undefined) return;
    event.preventDefault();
    this.chosen(target);
    this.#tabs.get(target)?.focus();
  }
}
