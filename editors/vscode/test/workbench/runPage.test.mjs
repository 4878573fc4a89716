// The run page in the real workbench: what runs at the same time, what is asked, what is done by key, and much of it.

import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";

import { runWorkflow } from "./hands.mjs";
import { eventually, openProject } from "./journey.mjs";
import { taskTimes } from "./tracing.mjs";

const STEPS = 2_000;
/** A task that takes longer than this is felt. */
const LONG_TASK_MS = 50;

const SCRIPTS = {
  // Held until the file `go` is there. Live output is for who follows it already: it is told until then.
  parallel: `"""Two steps at the same time, then one."""
from sidestep import command, parallel, phase

WAIT = "until [ -e go ]; do echo begins; sleep 0.05; done; sleep 1; echo ends"

async def main():
    phase("together")
    await parallel([command(["sh", "-c", WAIT], id=f"part:{n}") for n in range(2)])
    phase("alone")
    await command(["sleep", "0.4"], id="last")
    return {"report": "# Built\\n\\n<b>plain</b>", "data": {"parts": [1, 2]}}
`,
  questions: `"""A choice, then a form."""
from sidestep import ask

PLAN = {"type": "object", "required": ["count"],
        "properties": {"count": {"type": "integer"}, "files": {"type": "array", "items": {"type": "string"}}}}

async def main():
    way = await ask("Which way?", id="way", choices=["left", "right"])
    plan = await ask("How many?", id="plan", schema=PLAN)
    return {"way": way, "plan": plan}
`,
  many: `"""Very many steps."""
from sidestep import parallel, phase, sleep

async def main():
    for part in range(20):
        phase(f"part {part}")
        await parallel([sleep(0.001, id=f"step {part * 100 + n}") for n in range(100)])
`,
};

describe("the run page", { timeout: 240_000 }, () => {
  let project, page;
  let close;
  before(async () => {
    const files = Object.fromEntries(
      Object.entries(SCRIPTS).map(([name, source]) => [`.sidestep/workflows/${name}.py`, source]),
    );
    project = await openProject({ after: (closes) => (close = closes) }, { files });
    page = project.page;
  });
  after(() => close());

  test("bars of parallel steps overlap, and the next step's bar is after them", () =>
    project.doing("parallel", async () => {
      await runWorkflow(page, "parallel");
      const run = await project.runPage("parallel");
      // Chosen, so that the page does not go on to the report by itself.
      await run.getByRole("tab", { name: /Timeline/ }).click();
      await run.locator(".row", { hasText: "part:0" }).click();
      await run.locator(".detail-pane .output", { hasText: "begins" }).waitFor({ timeout: 10_000 });
      writeFileSync(join(project.folder, "go"), "");
      await run.locator("#status", { hasText: "completed" }).waitFor({ timeout: 30_000 });
      // All in one look: what is drawn in between moves them together.
      const [one, other, last] = await run.getByRole("tree").evaluate((tree) =>
        ["part:0", "part:1", "last"].map((name) => {
          const row = [...tree.children].find(({ textContent }) => textContent.includes(name));
          const { left, right } = row.querySelector(".bar").getBoundingClientRect();
          return { from: left, to: right };
        }),
      );
      const together = Math.min(one.to, other.to) - Math.max(one.from, other.from);
      assert.ok(together > 0.8 * (one.to - one.from), "they ran together");
      assert.ok(last.from >= Math.max(one.to, other.to) - 1, "it ran after them");
      await project.picture("parallel");
      await run.getByRole("tab", { name: "Report" }).click();
      assert.equal(await run.locator(".markdown b").count(), 0);
      await run.getByText("<b>plain</b>").waitFor();
    }));

  test("a question is answered in the page, by choice and by form, and by key alone", () =>
    project.doing("questions", async () => {
      await runWorkflow(page, "questions");
      const run = await project.runPage("questions");
      const right = run.locator('.question [data-choice="right"]');
      await right.waitFor({ timeout: 20_000 });
      await leavePicker(page);
      await right.press("Enter");
      await run.locator('[data-field="count"]').waitFor({ timeout: 20_000 });
      await leavePicker(page);
      await run.locator('[data-field="count"]').focus();
      await page.keyboard.type("two");
      await run.locator(".problem", { hasText: "Not a number" }).waitFor();
      await project.picture("question");
      await page.keyboard.press("Control+A");
      await page.keyboard.type("2");
      await page.keyboard.press("Tab");
      await page.keyboard.type("a.py");
      await page.keyboard.press("Tab");
      await page.keyboard.press("Enter");
      await run.locator("#status", { hasText: "completed" }).waitFor({ timeout: 20_000 });
      await run.getByRole("tab", { name: "Data" }).click();
      await run.locator("#panel-data .leaf", { hasText: '"right"' }).waitFor();
      await run.locator("summary", { hasText: "plan" }).click();
      await run.locator("#panel-data .leaf", { hasText: "count: 2" }).waitFor();
    }));

  test("two thousand steps scroll smoothly, by wheel and by key, and only those in sight are there", () =>
    project.doing("many", async () => {
      await runWorkflow(page, "many");
      const run = await project.runPage("many");
      await run.locator("#status", { hasText: "completed" }).waitFor({ timeout: 60_000 });
      await run.getByRole("tab", { name: /Timeline \(2000\)|Timeline \(2,000\)/ }).click();
      const rows = run.locator(".row");
      const tree = run.getByRole("tree");
      await rows.first().focus();
      let seen;
      const tasks = await taskTimes(page, async () => (seen = await tree.evaluate(scrollThrough)));
      assert.equal(seen.stepsSeen, STEPS, "every step came by");
      // The work of a frame does not grow with the run: few rows are there, and they are used again.
      assert.ok(seen.rowsMost < 80, `at most ${seen.rowsMost} rows at a time`);
      assert.ok(seen.rowsMade < 80, `${seen.rowsMade} rows were made in all`);
      assert.ok(tasks.length > seen.frames, "the tasks were seen");
      const long = tasks.filter((ms) => ms > LONG_TASK_MS);
      assert.ok(long.length <= 2, `${long.length} long tasks in ${seen.frames} frames: ${long.slice(0, 5)} ms`);
      // By key: one row is reached by Tab, and the focus stays on a row wherever it goes.
      await rows.first().focus();
      await page.keyboard.press("End");
      const last = run.getByRole("treeitem", { name: /^step 1999, completed/ });
      await eventually("the last row has the focus", () => last.evaluate((row) => row === document.activeElement));
      assert.equal(await run.locator('.row[tabindex="0"]').count(), 1);
      await page.keyboard.press("Home");
      await run.getByRole("treeitem", { name: /^Phase part 0, 100 steps/ }).waitFor();
      await project.picture("many");
    }));
});

/** The extension asks in its own way too, sooner or later than the page; who leaves that can use the page instead. */
async function leavePicker(page) {
  const picker = page.locator(".quick-input-widget");
  await picker.locator("input:visible").first().press("Escape", { timeout: 20_000 });
  await picker.waitFor({ state: "hidden" });
}

/** In the page: scroll from top to bottom, a good part of a screen at a time, and count. */
async function scrollThrough(tree) {
  const scroller = tree.parentElement;
  let rowsMade = tree.childElementCount;
  const made = new MutationObserver((changes) => {
    for (const change of changes) rowsMade += change.addedNodes.length;
  });
  made.observe(tree, { childList: true });
  const frame = () => new Promise((resolve) => requestAnimationFrame(resolve));
  const steps = new Set();
  let rowsMost = 0;
  let frames = 0;
  for (let top = 0; top <= scroller.scrollHeight; top += scroller.clientHeight * 0.6) {
    scroller.scrollTop = top;
    await frame();
    await frame();
    frames += 2;
    rowsMost = Math.max(rowsMost, tree.childElementCount);
    for (const row of tree.children) if (!row.classList.contains("phase")) steps.add(row.dataset.id);
  }
  made.disconnect();
  return { frames, rowsMost, rowsMade, stepsSeen: steps.size };
}
