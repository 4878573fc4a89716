// Nothing is lost: the window is reloaded and the server killed in the middle of a run, and the page has every event.

import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";

import { pickCommand, runWorkflow } from "./hands.mjs";
import { eventually, openProject } from "./journey.mjs";

// The second and the third part wait for a file each, so that the run is not over before what is done to it.
const BUSY = `"""Many short steps in three parts."""
from sidestep import command, log, phase

WAIT = 'until [ "$0" = 0 ] || [ -e "part-$0" ]; do sleep 0.05; done; sleep 0.1'

async def main(steps: int = 90):
    for n in range(steps):
        if n % 30 == 0:
            phase(f"part {n // 30}")
        log(f"step {n}")
        await command(["sh", "-c", WAIT, str(n // 30)], id=f"step:{n}")
    return "# Done"
`;

test("a reload and a killed server in mid-run lose no event", { timeout: 180_000 }, async (t) => {
  const project = await openProject(t, { files: { ".sidestep/workflows/busy.py": BUSY } });
  const { page } = project;
  await project.doing("recovery", async () => {
    await runWorkflow(page, "busy");
    let run = await project.runPage("busy");
    const sequence = async () => Number(await run.locator("body").getAttribute("data-sequence"));
    const goOn = (part) => writeFileSync(join(project.folder, `part-${part}`), "");
    const runId = await run.locator("body").getAttribute("data-run-id");
    await eventually("some events", async () => (await sequence()) > 20);

    const loaded = page.waitForEvent("load");
    await pickCommand(page, "Developer: Reload Window");
    await loaded;
    run = await project.runPage("busy");
    assert.equal(await run.locator("body").getAttribute("data-run-id"), runId);
    const reloaded = (await project.journal(runId)).length;
    goOn(1);
    await eventually("it goes on after the reload", async () => (await sequence()) > reloaded + 20);

    process.kill(await project.serverPid(), "SIGKILL");
    const killed = (await project.journal(runId)).length;
    goOn(2);
    await eventually("it goes on after the kill", async () => (await sequence()) > killed + 20);
    await project.picture("recovered");
    await run.locator("#status", { hasText: "completed" }).waitFor({ timeout: 60_000 });

    const journal = await project.journal(runId);
    assert.deepEqual(
      journal.map((event) => event.sequence),
      journal.map((_, index) => index + 1),
    );
    await eventually("every event is on the page", async () => (await sequence()) === journal.length);
    // The page counts steps and lines from its events alone: a gap or a duplicate would show here.
    const lines = journal.filter(({ type }) => type === "log").length;
    assert.equal(await run.getByRole("tab", { name: /^Timeline/ }).textContent(), "Timeline (90)");
    assert.equal(await run.getByRole("tab", { name: /^Log/ }).textContent(), `Log (${lines})`);
  });
});
