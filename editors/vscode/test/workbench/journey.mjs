// What the journeys share: a project to open, a server to run it with, its journal, and evidence of what was seen.
//
// SIDESTEP_SERVER names the server; else the one of the repository's .venv. Pictures go to build/e2e-vscode.

import { execFile, execFileSync } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

import { openWorkbench } from "./serve.mjs";
import { webview } from "./hands.mjs";

const extension = resolve(fileURLToPath(new URL("../..", import.meta.url)));
export const repository = resolve(extension, "../..");
const server = process.env.SIDESTEP_SERVER ?? join(repository, ".venv/bin/sidestep");
const pictures = join(repository, "build/e2e-vscode");

/**
 * A project in a workbench with the extension, removed with everything when the test ends.
 *
 * @param {{after(close: () => Promise<void>): void}} test Told once how to remove everything.
 * @param {object} project
 * @param {Record<string, string>} project.files Text by path.
 * @param {(folder: string) => Record<string, string>} [project.environment] Of the extension host and the server.
 * @param {Record<string, unknown>} [project.settings] Beside those that every journey has.
 * @param {boolean} [project.trusted] False: nobody was asked yet.
 */
export async function openProject(test, { files, environment = () => ({}), settings = {}, trusted = true }) {
  const home = await mkdtemp(join(tmpdir(), "sidestep-journey-"));
  let workbench;
  test.after(async () => {
    await workbench?.close();
    await rm(home, { recursive: true, force: true, maxRetries: 5, retryDelay: 200 });
  });
  const folder = join(home, "shop");
  for (const [path, text] of Object.entries(files)) {
    await mkdir(dirname(join(folder, path)), { recursive: true });
    await writeFile(join(folder, path), text, { mode: text.startsWith("#!") ? 0o755 : 0o644 });
  }
  commitAll(folder);
  const store = join(home, "store.sqlite");
  const all = {
    "sidestep.server.path": server,
    "sidestep.server.arguments": [`--store=${store}`],
    "sidestep.run.askForArguments": "whenRequired",
    ...settings,
  };
  const wanted = { workspace: folder, extension, settings: all, environment: environment(folder), trusted };
  workbench = await openWorkbench(wanted);
  return new Project(workbench, folder, store);
}

class Project {
  constructor(workbench, folder, store) {
    this.page = workbench.page;
    this.log = workbench.log;
    this.folder = folder;
    this.store = store;
  }

  /** The page of a run of this workflow, with a status; another page may be shown until it comes. */
  async runPage(name) {
    const inside = webview(this.page);
    await inside.getByRole("heading", { name, exact: true, level: 1 }).waitFor({ timeout: 30_000 });
    await inside.locator("#status").waitFor({ timeout: 30_000 });
    return inside;
  }

  /** The journal of a run as the store has it. */
  async journal(runId) {
    const { stdout } = await promisify(execFile)(server, ["runs", "events", runId, "--json", "--store", this.store], {
      cwd: this.folder,
      maxBuffer: 64 * 1024 * 1024,
    });
    return stdout.trim().split("\n").map((line) => JSON.parse(line));
  }

  /** The server's process. One of before a reload may be ending, and what a server starts looks like one first. */
  async serverPid() {
    const [only] = await eventually("one server", () => {
      const found = this.#serverPids();
      return found.length === 1 && found;
    });
    return only;
  }

  #serverPids() {
    const pids = readdirSync("/proc").filter((name) => /^\d+$/.test(name));
    const found = pids.filter((pid) => {
      try {
        const words = readFileSync(`/proc/${pid}/cmdline`, "utf8").split("\0");
        return words.includes("serve") && words.includes(`--store=${this.store}`);
      } catch {
        return false;
      }
    });
    return found.map(Number);
  }

  /** Keep a picture of what is on the screen. */
  async picture(name) {
    await mkdir(pictures, { recursive: true });
    await this.page.screenshot({ path: join(pictures, `${name}.png`) });
  }

  /** Do something; when it fails, keep what there was to see. */
  async doing(name, action) {
    try {
      return await action();
    } catch (error) {
      await this.picture(`failed-${name}`);
      // The workbench misses parts of its own, and says so at length.
      const ours = this.log.filter((line) => /sidestep|pageerror/i.test(line) && !/bindings|watchdog/.test(line));
      console.error(ours.slice(-20).join("\n"));
      throw error;
    }
  }
}

function commitAll(folder) {
  const person = ["-c", "user.name=Ann", "-c", "user.email=ann@example.invalid"];
  for (const words of [["init"], ["add", "--all"], ["commit", "--message=A shop"]]) {
    const [command, ...rest] = words;
    execFileSync("git", [...person, command, ...(command === "add" ? [] : ["--quiet"]), ...rest], { cwd: folder });
  }
}

/** Waits until `look` gives something true. */
export async function eventually(what, look, within = 30_000) {
  const deadline = Date.now() + within;
  for (;;) {
    const found = await look();
    if (found) return found;
    if (Date.now() > deadline) throw new Error(`Still waiting: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}
