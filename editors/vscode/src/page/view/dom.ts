/** Small words for making elements. Knows nothing of runs. */

type Child = Node | string | null | undefined | false;

/**
 * An element with attributes and children. `class` and every other name is an attribute; a function is a listener
 * (`click`, `input` ...); undefined and false leave an attribute out.
 */
export function element<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  attributes: Record<string, string | boolean | undefined | ((event: never) => void)> = {},
  ...children: Child[]
): HTMLElementTagNameMap[K] {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") made.addEventListener(name, value as EventListener);
    else if (value === true) made.setAttribute(name, "");
    else if (typeof value === "string") made.setAttribute(name, value);
  }
  made.append(...children.filter((child): child is Node | string => Boolean(child)));
  return made;
}

/** Sets the text when it differs, so that screen readers and selections are left alone otherwise. */
export function setText(node: Element, text: string): void {
  if (node.textContent !== text) node.textContent = text;
}

/** Adds or takes away an attribute; touches nothing when it is as wanted. */
export function setAttribute(node: Element, name: string, value: string | undefined): void {
  if (value === undefined) node.removeAttribute(name);
  else if (node.getAttribute(name) !== value) node.setAttribute(name, value);
}

/** Glyphs that say a status without colour; the words for it stand beside them for screen readers. */
export function statusGlyph(status: string): string {
  switch (status) {
    case "completed":
      return "✓";
    case "failed":
      return "✕";
    case "interrupted":
      return "‖";
    case "pending":
      return "○";
    default:
      return "●";
  }
}
