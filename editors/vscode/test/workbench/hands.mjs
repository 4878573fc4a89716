// What a person does in a workbench: press keys, pick a command, look into a page.

/**
 * Pick a command from the palette, as soon as it is there.
 *
 * @param {import("playwright-core").Page} page
 * @param {string} title As the palette shows it, category included.
 */
export async function pickCommand(page, title) {
  const row = page.locator(".quick-input-list .monaco-list-row", { hasText: title }).first();
  const deadline = Date.now() + 45_000;
  for (;;) {
    await page.keyboard.press("F1");
    const input = page.locator(".quick-input-widget input").first();
    try {
      await input.waitFor({ timeout: 5_000 });
      await input.fill(`>${title}`);
      // An extension's commands join the palette when it has been read; it does not look again by itself.
      await row.waitFor({ timeout: 2_500 });
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

/** Open a file of the folder in an editor, with a line (1-based) in sight. */
export async function openFile(page, name, line) {
  const row = page.locator(".quick-input-list .monaco-list-row", { hasText: name }).first();
  await page.keyboard.press("Control+P");
  const input = page.locator(".quick-input-widget input").first();
  await input.waitFor();
  await input.fill(`${name}:${line}`);
  await row.waitFor({ timeout: 30_000 });
  await page.keyboard.press("Enter");
}
