// What only a person can allow: a folder that is not trusted, and a command that a run wants to start.
//
// These are the workbench's own dialogs, which it does not show in a window that tests run in.

import { test } from "node:test";

import { openFile, pickCommand, runWorkflow } from "./hands.mjs";
import { eventually, openProject } from "./journey.mjs";

const PERMIT = `"""One command, which a person is asked about."""
from sidestep import command

async def main():
    await command(["touch", "made"], id="make")
    return "# Made"
`;

test(
  "trust is given in the open window, and a command runs when a person allows it",
  { timeout: 120_000 },
  async (t) => {
    const project = await openProject(t, {
      files: { ".sidestep/workflows/permit.py": PERMIT },
      settings: { "sidestep.permissionPolicy": "ask" },
      trusted: false,
    });
    const { page } = project;
    await project.doing("trust", async () => {
      const restricted = page.getByRole("button", { name: "Restricted Mode" });
      await restricted.first().waitFor({ timeout: 30_000 });
      // With the file the server starts, untrusted; with the trust it becomes another one.
      await openFile(page, "permit.py", 1);
      await pickCommand(page, "Workspaces: Manage Workspace Trust");
      await page.getByRole("button", { name: "Trust", exact: true }).first().click();
      await eventually("the folder is trusted", async () => (await restricted.count()) === 0);
      await runWorkflow(page, "permit");
      const dialog = page.locator(".monaco-dialog-box", { hasText: "permit:" });
      await dialog.waitFor({ timeout: 30_000 });
      await project.picture("permission");
      await dialog.getByRole("button", { name: "Run it", exact: true }).click();
      const run = await project.runPage("permit");
      await run.locator("#status", { hasText: "completed" }).waitFor({ timeout: 20_000 });
      await run.getByRole("heading", { name: "Made" }).waitFor({ timeout: 10_000 });
    });
  },
);
