// A stranger's first hour: open a folder, run repo-report by its lens, watch, interrupt, go on, read the report.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { existsSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { test } from "node:test";

import { openFile } from "./hands.mjs";
import { eventually, openProject, repository } from "./journey.mjs";

// git takes its time at one kind of question while `.held` is there, so that there is a run to interrupt.
const GIT = execFileSync("sh", ["-c", "command -v git"], { encoding: "utf8" }).trim();
const HELD_GIT = `#!/bin/sh
case " $* " in *" grep "*) while [ -e .held ]; do sleep 0.05; done ;; esac
exec ${GIT} "$@"
`;

const SCRIPT = ".sidestep/workflows/repo-report.py";

test("repo-report: run by the lens, fill the page, interrupt, continue, read", { timeout: 120_000 }, async (t) => {
  const source = readFileSync(join(repository, "server/sidestep/builtin/repo-report.py"), "utf8");
  const files = {
    "src/shop.py": "# TODO: sell something\nprint('shop')\n",
    "tests/test_shop.py": "def test_shop():\n    assert True\n",
    ".gitignore": "/.held\n",
    "../bin/git": HELD_GIT,
    [SCRIPT]: source,
  };
  const environment = (folder) => ({ PATH: `${dirname(folder)}/bin:${process.env.PATH}` });
  const project = await openProject(t, { files, environment });
  const { page, folder } = project;
  const held = join(folder, ".held");

  await project.doing("repo-report", async () => {
    writeFileSync(held, "");
    await openFile(page, "repo-report.py", source.slice(0, source.indexOf("async def main")).split("\n").length);
    await page.locator(".codelens-decoration a", { hasText: /^Run\b/ }).first().click({ timeout: 40_000 });

    const run = await project.runPage("repo-report");
    // The page fills while the run goes on.
    await run.locator(".row.phase").nth(1).waitFor({ timeout: 20_000 });
    await run.locator(".bar.running").first().waitFor({ timeout: 20_000 });
    assert.match(await run.locator("#status").textContent(), /running/);
    await project.picture("watching");

    await run.getByRole("button", { name: "Interrupt" }).click();
    await run.locator("#status", { hasText: "interrupted (by you)" }).waitFor({ timeout: 20_000 });
    const before = await run.locator(".glyph.completed").count();
    assert.ok(before > 0, "finished steps are shown");
    await project.picture("interrupted");

    rmSync(held);
    assert.ok(!existsSync(held));
    await run.getByRole("button", { name: "Continue", exact: true }).click();
    await run.locator("#status", { hasText: "completed" }).waitFor({ timeout: 30_000 });
    // Nobody chose a view, so the page shows what there is to read now.
    await run.getByRole("heading", { name: /^Repository report/ }).waitFor({ timeout: 10_000 });
    await project.picture("report");

    await run.getByRole("tab", { name: /Timeline/ }).click();
    const kept = run.getByRole("treeitem", { name: /, kept,/ });
    await eventually("what was finished before is marked as kept", async () => (await kept.count()) >= before);
    await project.picture("timeline");
  });
});
