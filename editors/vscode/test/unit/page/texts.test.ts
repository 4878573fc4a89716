import assert from "node:assert/strict";
import { test } from "node:test";

import { count, duration, usageText } from "../../../src/page/model/amounts";
import { LiveOutput } from "../../../src/page/model/liveOutput";
import { renderMarkdown } from "../../../src/page/model/markdown";

test("a report's own HTML is shown, not obeyed", () => {
  const html = renderMarkdown('# Hi\n\n<script>alert(1)</script> <img src=x onerror="alert(1)">\n\n<div>x</div>');
  assert.match(html, /<h1>Hi<\/h1>/);
  assert.doesNotMatch(html, /<script|<img|<div/);
  assert.match(html, /&lt;script&gt;/);
});

test("a report fetches nothing: an image is no image", () => {
  assert.doesNotMatch(renderMarkdown("![logo](https://example.invalid/logo.png)"), /<img/);
  assert.doesNotMatch(renderMarkdown("![logo][1]\n\n[1]: https://example.invalid/logo.png"), /<img/);
});

test("a link that would run something is no link", () => {
  for (const address of ["javascript:alert(1)", "vbscript:x", "data:text/html,x", "file:///etc/passwd"]) {
    assert.doesNotMatch(renderMarkdown(`[x](${address})`), /href/);
  }
  assert.match(renderMarkdown("[x](https://example.invalid/)"), /href="https:\/\/example.invalid\/"/);
});

test("columns keep their side without a style attribute", () => {
  const html = renderMarkdown("| a | b |\n|---|--:|\n| x | 1 |\n");
  assert.match(html, /<td class="right">1<\/td>/);
  assert.doesNotMatch(html, /style=/);
});

test("durations and amounts read as people say them", () => {
  assert.deepEqual([3, 949, 1_500, 61_000].map(duration), ["3 ms", "949 ms", "1.5 s", "1 min 1 s"]);
  assert.equal(count(1, "step"), "1 step");
  assert.equal(count(2000, "entry", "entries"), "2,000 entries");
  assert.equal(usageText({ inputTokens: 1000, outputTokens: 203, costUsd: 0.018 }), "1,203 tokens, $0.018");
  assert.equal(usageText(undefined), "");
});

test("live output keeps its newest part and says what was dropped", () => {
  const live = new LiveOutput();
  live.add("a", "one\n", 0);
  live.add("a", "two\n", 1200);
  assert.match(live.of("a"), /^one\n[^]*1,200 bytes[^]*two\n$/);
  live.add("a", "x".repeat(200_000), 0);
  assert.equal(live.of("a").length, 100_001);
  assert.equal(live.of("b"), "");
});
