/**
 * A report's Markdown as HTML that can do nothing: no HTML of the report's own, no images, no style attributes.
 *
 * Links stay links: VS Code opens web addresses outside of the page, after its own question, and no others.
 */
import MarkdownIt from "markdown-it";

const renderer = new MarkdownIt({ html: false, linkify: false, typographer: false });
renderer.disable("image");

// Columns to the right come as a style attribute, which the page's content security policy takes away.
for (const tag of ["th_open", "td_open"]) {
  renderer.renderer.rules[tag] = (tokens, index, options, _environment, self) => {
    const token = tokens[index];
    if (token) {
      const style = String(token.attrGet("style") ?? "");
      token.attrs = null;
      if (style.includes("right")) token.attrSet("class", "right");
      if (style.includes("center")) token.attrSet("class", "center");
    }
    return self.renderToken(tokens, index, options);
  };
}

export function renderMarkdown(text: string): string {
  return renderer.render(text);
}
