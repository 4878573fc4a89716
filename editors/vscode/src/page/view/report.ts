/** The report and the data of a run that has ended. Both are drawn once for each result. */
import type { JsonObject, RunResult } from "../../../../../protocol/schema/sidestep";
import { renderMarkdown } from "../model/markdown";
import { dataTree } from "./dataTree";
import { element } from "./dom";

export class Report {
  readonly root = element("div", { class: "scroller markdown", tabindex: "0" });
  #drawn: RunResult | null | undefined = null;

  update(result: RunResult | undefined): void {
    if (result === this.#drawn) return;
    this.#drawn = result;
    if (result?.report) this.root.innerHTML = renderMarkdown(result.report);
    else this.root.replaceChildren(element("p", { class: "empty" }, result ? "No report." : "No report yet."));
  }
}

export class Data {
  readonly root = element("div", { class: "scroller" });
  #drawn: unknown[] = [null];

  update(result: RunResult | undefined, args: JsonObject | undefined): void {
    if (result === this.#drawn[0] && args === this.#drawn[1]) return;
    this.#drawn = [result, args];
    const parts: HTMLElement[] = [element("h2", {}, "Result")];
    if (result?.uri) parts.push(element("p", {}, `Too large to show; it is in ${result.uri}`));
    else if (result?.data !== undefined) parts.push(dataTree(result.data));
    else parts.push(element("p", { class: "empty" }, result ? "No data." : "No data yet."));
    parts.push(element("h2", {}, "Arguments"));
    parts.push(args ? dataTree(args) : element("p", { class: "empty" }, "None."));
    this.root.replaceChildren(...parts);
  }
}
