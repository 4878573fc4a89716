// What a person does in a workbench: press keys, pick a command, look into a page.

/**
 * Pick a command from the palette, as soon as it is there.
 *
 * @param {import("playwright-core").Page} page
 * @param {string} title As the palette shows it, category included.
 */
export async function pickCommand(page, title) {
  await pick(page, "F1", `>${title}`, title);
}

/** Open a list by a key, filter it, and click its first row with a text. */
async function pick(page, key, typed, text) {
  const row = page.locator(".quick-input-list .monaco-list-row", { hasText: text }).first();
  const deadline = Date.now() + 45_000;
  for (let patience = 2_500; ; patience *= 2) {
    // A workbench that is still opening hears no key, and closes the list when something else takes the focus.
    await page.keyboard.press(key);
    const input = page.locator(".quick-input-widget input").first();
    try {
      await input.waitFor({ timeout: 5_000 });
      await input.fill(typed);
      // An extension's commands join the palette when it has been read; it does not look again by itself.
      await row.click({ trial: true, timeout: patience });
      break;
    } catch (error) {
      if (Date.now() > deadline) throw error;
      await page.keyboard.press("Escape");
    }
  }
  await row.click();
}

/**
 * The inside of the webview that is shown.
 *
 * @param {import("playwright-core").Page} page
 * @returns {import("playwright-core").FrameLocator}
 */
export function webview(page) {
  return page.frameLocator("iframe.webview.ready").frameLocator("#active-frame");
}

/** Start a workflow of the project, by its name, from the palette. */
export async function runWorkflow(page, name) {
  await pickCommand(page, "Sidestep: Run Workflow…");
  const row = page.locator(".quick-input-list .monaco-list-row", { hasText: name }).first();
  await row.waitFor({ timeout: 30_000 });
  await row.click();
}

/** Open a file of the folder in an editor that has the focus, with a line (1-based) in sight. */
export async function openFile(page, name, line) {
  await pick(page, "Control+P", `${name}:${line}`, name);
  await page.locator(".tab.active", { hasText: name }).waitFor();
  // The focus comes last; until then it would close a list that is opened.
  await page.locator(".editor-instance .monaco-editor.focused").waitFor();
}
