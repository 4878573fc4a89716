// Runs the tests of test/host inside the real extension host, in a workbench of their own.
//
// SIDESTEP_SERVER names the server to test with; else the one of the repository's .venv.

import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { fileURLToPath } from "node:url";

import { openWorkbench } from "../workbench/serve.mjs";
import { SCRIPTS } from "./scripts.mjs";

const extension = resolve(fileURLToPath(new URL("../..", import.meta.url)));
const server = process.env.SIDESTEP_SERVER ?? resolve(extension, "../../.venv/bin/sidestep");
const RUN_MS_MAX = 240_000;
/** Draining takes 3 seconds at most; a busy machine may need more. */
const SERVER_END_MS_MAX = 20_000;
const HAND_MS_MAX = 20_000;

/** The suites, each in a window of its own: what is tested needs another trust or other settings. */
const SUITES = [
  {
    name: "trusted",
    trusted: true,
    settings: { "sidestep.server.path": server, "sidestep.run.askForArguments": "whenRequired" },
  },
  { name: "untrusted", trusted: false, settings: { "sidestep.server.path": server } },
  { name: "serverless", trusted: true, settings: { "sidestep.server.path": "/nowhere/sidestep" } },
];

async function run({ name, trusted, settings }) {
  const home = mkdtempSync(join(tmpdir(), "sidestep-host-"));
  const workspace = join(home, "shop");
  makeWorkspace(workspace);
  const store = join(home, "store.db");
  const results = join(home, "results.txt");
  writeFileSync(results, "");
  console.log(`\n  In the extension host, ${name}:`);
  const workbench = await openWorkbench({
    workspace,
    extension,
    tests: join(extension, "out/test/host/index"),
    settings: { ...settings, "sidestep.server.arguments": [`--store=${store}`] },
    environment: { SIDESTEP_SUITE: name, SIDESTEP_HAND: join(home, "hand.json"), SIDESTEP_RESULTS: results },
    trusted,
  });
  const hand = new Hand(workbench.page, join(home, "hand.json"));
  try {
    const late = new Promise((done) => setTimeout(done, RUN_MS_MAX, 1).unref());
    const code = await Promise.race([workbench.finished, late]);
    console.log(readFileSync(results, "utf8").trimEnd());
    // What the window said helps to find out; the workbench's own troubles with its missing parts do not.
    const told = workbench.log.filter((line) => /^\[(error|warning)\] (?!%c)/.test(line));
    if (code) console.log(told.slice(-40).join("\n"));
    const isLeft = await serverIsLeft(join(home, "hand.json.processes"));
    return code || isLeft ? 1 : 0;
  } finally {
    hand.rest();
    await workbench.close();
    rmSync(home, { recursive: true, force: true, maxRetries: 5, retryDelay: 200 });
  }
}

/**
 * Does what a test asks it to, and tells what it saw: tests in the extension host have neither mouse nor eyes, and
 * leave a file with their wish.
 */
class Hand {
  constructor(page, file) {
    this.looking = setInterval(() => void this.look(page, file), 50);
  }

  async look(page, file) {
    if (this.isBusy || !existsSync(file)) return;
    this.isBusy = true;
    const wish = JSON.parse(readFileSync(file, "utf8"));
    rmSync(file);
    const answer = await this.fulfil(page, wish).catch((error) => ({ problem: error.message.split("\n")[0] }));
    if (answer.problem) console.log(`    The hand could not ${JSON.stringify(wish)}: ${answer.problem}`);
    writeFileSync(`${file}.answer.new`, JSON.stringify(answer));
    renameSync(`${file}.answer.new`, `${file}.answer`);
    this.isBusy = false;
  }

  async fulfil(page, { click, type, press, read }) {
    if (click) await page.getByRole(click.role, { name: click.name }).first().click({ timeout: HAND_MS_MAX });
    if (type !== undefined) await page.keyboard.type(type);
    if (press) await page.keyboard.press(press);
    if (!read) return {};
    const seen = page.locator(read.where, { hasText: read.text }).filter({ visible: true }).first();
    return { text: await seen.textContent({ timeout: HAND_MS_MAX }) };
  }

  rest() {
    clearInterval(this.looking);
  }
}

/** Kills the extension host, and looks whether its server goes by itself. */
async function serverIsLeft(file) {
  if (!existsSync(file)) return false;
  const { host, server } = JSON.parse(readFileSync(file, "utf8"));
  const isThere = (pid) => {
    try {
      process.kill(pid, 0);
      return true;
    } catch {
      return false;
    }
  };
  if (!isThere(server)) console.log("    FAIL  the server was gone before its host");
  if (isThere(host)) process.kill(host, "SIGKILL");
  const deadline = Date.now() + SERVER_END_MS_MAX;
  while (isThere(server) && Date.now() < deadline) await new Promise((done) => setTimeout(done, 50));
  const isLeft = isThere(server);
  console.log(isLeft ? "    FAIL  the server outlives its host" : "    ok    the server ends when its host is killed");
  return isLeft;
}

function makeWorkspace(folder) {
  const scripts = join(folder, ".sidestep/workflows");
  mkdirSync(scripts, { recursive: true });
  for (const [name, source] of Object.entries(SCRIPTS)) writeFileSync(join(scripts, `${name}.py`), source);
  writeFileSync(join(folder, "README.md"), "# shop\n");
  execFileSync("git", ["init", "--quiet"], { cwd: folder });
}

const only = process.argv[2];
let failed = 0;
for (const suite of SUITES.filter(({ name }) => !only || name === only)) failed += await run(suite);
process.exit(failed ? 1 : 0);
