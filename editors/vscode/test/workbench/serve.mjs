// A real workbench (VS Code's server, extension host and browser part) around one extension and one folder.
//
// Owns the processes and the folders it makes, and leaves none behind. Knows nothing of what is tested in it.

import { spawn } from "node:child_process";
import { rmSync } from "node:fs";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { chromium, node, playwright, workbenchServer } from "./parts.mjs";

const START_MS_MAX = 60_000;

/** Nothing that would open by itself over what is tested. */
const QUIET = {
  "workbench.startupEditor": "none",
  "workbench.tips.enabled": false,
  "workbench.enableExperiments": false,
  "workbench.secondarySideBar.defaultVisibility": "hidden",
  "chat.commandCenter.enabled": false,
  "chat.disableAIFeatures": true,
  "git.openRepositoryInParentFolders": "never",
  "extensions.ignoreRecommendations": true,
  "telemetry.telemetryLevel": "off",
  "update.mode": "none",
  "files.watcherExclude": { "**/node_modules/**": true },
};

const BROWSER = [
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];

const WORKBENCH_CHATTER = /^(%c|\[|Resolv(ing|ed) connection|Creating a socket|Ignoring fetching|Updating additional)/;

/**
 * Open a folder in a workbench of its own, with an extension as it stands in its source folder.
 *
 * @param {object} wanted
 * @param {string} wanted.workspace The folder to open; absolute.
 * @param {string} wanted.extension The extension's folder (with package.json); absolute.
 * @param {string} [wanted.tests] A module that exports `run()`, called inside the extension host; absolute, without
 *   its suffix. `finished` then tells how it ended.
 * @param {Record<string, unknown>} [wanted.settings] Settings of the machine, beside the quiet ones.
 * @param {Record<string, string>} [wanted.environment] Added to the extension host's environment.
 * @param {boolean} [wanted.trusted] False: workspace trust is on and nothing is trusted yet. True by default.
 * @param {{width: number, height: number}} [wanted.size]
 * @returns {Promise<{page: import("playwright-core").Page, url: string, finished: Promise<number>,
 *   close: () => Promise<void>, log: string[]}>} `finished` is the exit code of `tests`, never settled without them;
 *   `log` has what browser and server said.
 */
export async function openWorkbench(wanted) {
  const home = await mkdtemp(join(tmpdir(), "sidestep-workbench-"));
  const log = [];
  const forget = { recursive: true, force: true, maxRetries: 5, retryDelay: 200 };
  const forgetNow = () => rmSync(home, forget);
  process.once("exit", forgetNow);
  const closers = [
    async () => {
      process.off("exit", forgetNow);
      await rm(home, forget);
    },
  ];
  const close = async () => {
    while (closers.length) await closers.pop()();
  };
  try {
    const port = await freePort();
    closers.push(await startServer(home, port, wanted, log));
    const browser = await startBrowser(home, wanted.size ?? { width: 1280, height: 800 });
    closers.push(() => browser.close());
    const page = browser.pages()[0] ?? (await browser.newPage());
    page.on("console", (message) => log.push(`[${message.type()}] ${message.text()}`));
    page.on("pageerror", (error) => log.push(`[pageerror] ${error.stack ?? error}`));
    let end;
    const finished = new Promise((resolve) => (end = resolve));
    await listenToTests(page, log, end);
    const url = address(port, wanted);
    await page.goto(url);
    await page.waitForSelector(".monaco-workbench", { timeout: START_MS_MAX });
    return { page, url, finished, close, log };
  } catch (error) {
    await close();
    throw error;
  }
}

async function startServer(home, port, wanted, log) {
  const user = join(home, "user");
  const machine = join(user, "Machine");
  await mkdir(machine, { recursive: true });
  await writeFile(join(machine, "settings.json"), JSON.stringify({ ...QUIET, ...wanted.settings }));
  const flags = [
    ...["--host", "127.0.0.1", "--port", String(port), "--without-connection-token"],
    ...["--accept-server-license-terms", "--telemetry-level", "off", "--enable-smoke-test-driver"],
    // A window that is gone gives up its extension host after so many seconds.
    ...["--reconnection-grace-time", "1"],
    ...["--user-data-dir", user, "--server-data-dir", join(home, "server")],
    ...["--extensions-dir", join(home, "extensions")],
    ...(wanted.trusted === false ? [] : ["--disable-workspace-trust"]),
  ];
  const server = spawn(await node(), [await workbenchServer(), ...flags], {
    // A group of its own: extension hosts and what they start go with it.
    detached: true,
    stdio: ["ignore", "pipe", "pipe"],
    // As from a command line, the environment is taken as it is, and no login shell is asked for another PATH.
    env: { ...process.env, VSCODE_CLI: "1", EXTENSIONS_GALLERY: '{"serviceUrl":""}', ...wanted.environment },
  });
  const kill = (signal) => {
    try {
      process.kill(-server.pid, signal);
    } catch {
      // Gone already.
    }
  };
  const killNow = () => kill("SIGKILL");
  process.once("exit", killNow);
  const gone = new Promise((resolve) => server.once("exit", resolve));
  const ready = new Promise((resolve, reject) => {
    const listen = (bytes) => {
      log.push(`[server] ${bytes}`);
      if (String(bytes).includes("Extension host agent listening")) resolve();
    };
    server.stdout.on("data", listen);
    server.stderr.on("data", listen);
    const late = () => reject(new Error(`The workbench's server did not start:\n${log.join("")}`));
    setTimeout(late, START_MS_MAX).unref();
    gone.then((code) => reject(new Error(`The workbench's server ended (${code}):\n${log.join("")}`)));
  });
  const stop = async () => {
    process.off("exit", killNow);
    kill("SIGTERM");
    const impatience = setTimeout(killNow, 3_000);
    await gone;
    clearTimeout(impatience);
    killNow();
  };
  await ready.catch(async (error) => {
    await stop();
    throw error;
  });
  return stop;
}

async function startBrowser(home, viewport) {
  const browser = (await playwright()).chromium;
  return browser.launchPersistentContext(join(home, "browser"), {
    executablePath: await chromium(),
    headless: true,
    args: BROWSER,
    viewport,
    reducedMotion: "reduce",
  });
}

/** The workbench calls these two when `tests` are given. */
async function listenToTests(page, log, end) {
  await page.exposeFunction("codeAutomationLog", (type, args) => {
    const text = args.join(" ");
    log.push(`[tests] ${text}`);
    // What the workbench itself says comes this way too, its warnings and errors for the parts it misses among it.
    if (type === "log" && !WORKBENCH_CHATTER.test(text)) console.log(text);
  });
  await page.exposeFunction("codeAutomationExit", (code) => end(code));
}

function address(port, { workspace, extension, tests }) {
  const remote = (path) => `vscode-remote://127.0.0.1:${port}${path}`;
  const payload = [["extensionDevelopmentPath", remote(extension)]];
  if (tests) payload.push(["extensionTestsPath", remote(tests)]);
  const query = new URLSearchParams({ folder: workspace, payload: JSON.stringify(payload) });
  return `http://127.0.0.1:${port}/?${query}`;
}

function freePort() {
  return new Promise((resolve, reject) => {
    const probe = createServer();
    probe.once("error", reject);
    probe.listen(0, "127.0.0.1", () => {
      const { port } = probe.address();
      probe.close(() => resolve(port));
    });
  });
}
