/**
 * A tree of many rows of which only those in sight are in the document, with one of them reachable by Tab.
 *
 * Owns scrolling, the keys and the roving tabindex; what a row looks like and means is the caller's.
 * Invariant: the row that has the focus stays in the document while it exists, wherever one scrolls.
 */
import { element, setAttribute } from "./dom";

export const ROW_HEIGHT = 26;
/** Rows above and below what is in sight. */
const SPARE = 8;

export interface TreeRow {
  id: string;
  level: number;
  expanded?: boolean;
}

export interface RowsOwner<R extends TreeRow> {
  label: string;
  /** An empty row's content; called once for each element. */
  create(row: HTMLElement): void;
  draw(row: HTMLElement, content: R): void;
  /** Enter, Space or a click. */
  chosen(content: R): void;
  expand(content: R, expanded: boolean): void;
}

export class VirtualRows<R extends TreeRow> {
  readonly scroller: HTMLElement;
  readonly #tree: HTMLElement;
  readonly #mounted = new Map<string, HTMLElement>();
  #rows: readonly R[] = [];
  #places = new Map<string, number>();
  /** The row that Tab reaches. */
  #current = "";

  constructor(private readonly owner: RowsOwner<R>) {
    this.#tree = element("div", { class: "rows", role: "tree", "aria-label": owner.label });
    this.scroller = element("div", { class: "scroller" }, this.#tree);
    this.scroller.addEventListener("scroll", () => this.#mount(), { passive: true });
    this.#tree.addEventListener("keydown", (event) => this.#key(event));
    this.#tree.addEventListener("click", (event) => this.#click(event));
    this.#tree.addEventListener("focusin", (event) => this.#focused(event));
    new ResizeObserver(() => this.#mount()).observe(this.scroller);
  }

  update(rows: readonly R[]): void {
    const atEnd = this.#isAtEnd() && rows.length > this.#rows.length;
    this.#rows = rows;
    this.#places = new Map(rows.map((row, index) => [row.id, index]));
    if (!this.#places.has(this.#current)) this.#current = rows[0]?.id ?? "";
    this.#tree.style.height = `${rows.length * ROW_HEIGHT}px`;
    this.#mount();
    for (const id of this.#mounted.keys()) this.#draw(id);
    // Who looks at the newest step goes on doing so.
    if (atEnd) this.scroller.scrollTop = this.scroller.scrollHeight;
  }

  #isAtEnd(): boolean {
    const { scrollTop, clientHeight, scrollHeight } = this.scroller;
    return scrollHeight > clientHeight && scrollTop + clientHeight >= scrollHeight - ROW_HEIGHT;
  }

  #mount(): void {
    const { scrollTop, clientHeight } = this.scroller;
    const first = Math.max(0, Math.floor(scrollTop / ROW_HEIGHT) - SPARE);
    const last = Math.min(this.#rows.length, Math.ceil((scrollTop + clientHeight) / ROW_HEIGHT) + SPARE);
    const wanted = new Set(this.#rows.slice(first, last).map((row) => row.id));
    if (this.#places.has(this.#current)) wanted.add(this.#current);
    const spare: HTMLElement[] = [];
    for (const [id, row] of this.#mounted) {
      if (wanted.has(id)) continue;
      spare.push(row);
      this.#mounted.delete(id);
    }
    for (const id of wanted) {
      if (this.#mounted.has(id)) continue;
      // A row that went out of sight at one end comes in at the other.
      const row = spare.pop() ?? this.#create();
      row.dataset["id"] = id;
      this.#mounted.set(id, row);
      this.#draw(id);
    }
    for (const row of spare) row.remove();
  }

  #create(): HTMLElement {
    const row = element("div", { class: "row", role: "treeitem" });
    this.owner.create(row);
    this.#tree.append(row);
    return row;
  }

  #draw(id: string): void {
    const row = this.#mounted.get(id);
    const index = this.#places.get(id);
    const content = index === undefined ? undefined : this.#rows[index];
    if (!row || index === undefined || !content) return;
    row.style.transform = `translateY(${index * ROW_HEIGHT}px)`;
    setAttribute(row, "tabindex", id === this.#current ? "0" : "-1");
    setAttribute(row, "aria-level", String(content.level));
    setAttribute(row, "aria-setsize", String(this.#rows.length));
    setAttribute(row, "aria-posinset", String(index + 1));
    setAttribute(row, "aria-expanded", content.expanded === undefined ? undefined : String(content.expanded));
    this.owner.draw(row, content);
  }

  #key(event: KeyboardEvent): void {
    const index = this.#places.get(this.#current);
    const content = index === undefined ? undefined : this.#rows[index];
    if (index === undefined || !content || event.altKey || event.ctrlKey || event.metaKey) return;
    const page = Math.max(1, Math.floor(this.scroller.clientHeight / ROW_HEIGHT) - 1);
    switch (event.key) {
      case "ArrowDown":
        this.#go(index + 1);
        break;
      case "ArrowUp":
        this.#go(index - 1);
        break;
      case "PageDown":
        this.#go(index + page);
        break;
      case "PageUp":
        this.#go(index - page);
        break;
      case "Home":
        this.#go(0);
        break;
      case "End":
        this.#go(this.#rows.length - 1);
        break;
      case "ArrowRight":
        if (content.expanded === false) this.owner.expand(content, true);
        else if ((this.#rows[index + 1]?.level ?? 0) > content.level) this.#go(index + 1);
        break;
      case "ArrowLeft":
        if (content.expanded) this.owner.expand(content, false);
        else this.#go(this.#parent(index));
        break;
      case "Enter":
      case " ":
        this.owner.chosen(content);
        break;
      default:
        return;
    }
    event.preventDefault();
  }

  #parent(index: number): number {
    const level = this.#rows[index]?.level ?? 0;
    for (let above = index - 1; above >= 0; above -= 1) {
      if ((this.#rows[above]?.level ?? 0) < level) return above;
    }
    return index;
  }

  /** Moves the focus to a row, into sight. */
  #go(index: number): void {
    const target = Math.min(Math.max(index, 0), this.#rows.length - 1);
    const content = this.#rows[target];
    if (!content) return;
    const before = this.#current;
    this.#current = content.id;
    const top = target * ROW_HEIGHT;
    const { scrollTop, clientHeight } = this.scroller;
    if (top < scrollTop) this.scroller.scrollTop = top;
    else if (top + ROW_HEIGHT > scrollTop + clientHeight) this.scroller.scrollTop = top + ROW_HEIGHT - clientHeight;
    this.#mount();
    this.#draw(content.id);
    this.#mounted.get(content.id)?.focus({ preventScroll: true });
    this.#draw(before);
  }

  #click(event: MouseEvent): void {
    const content = this.#at(event);
    if (!content) return;
    if (event.target instanceof Element && event.target.closest(".twistie") && content.expanded !== undefined) {
      this.owner.expand(content, !content.expanded);
    } else {
      this.owner.chosen(content);
    }
  }

  #focused(event: FocusEvent): void {
    const content = this.#at(event);
    if (!content || content.id === this.#current) return;
    const before = this.#current;
    this.#current = content.id;
    this.#draw(before);
    this.#draw(content.id);
  }

  #at(event: Event): R | undefined {
    const row = event.target instanceof Element ? event.target.closest<HTMLElement>(".row") : null;
    const index = this.#places.get(row?.dataset["id"] ?? "");
    return index === undefined ? undefined : this.#rows[index];
  }
}
