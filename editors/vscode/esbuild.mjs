/**
 * Builds the extension. `--production` minifies, `--tests` builds the tests beside it, `--watch` goes on.
 *
 * dist/ is what is packaged; out/ holds tests, which are compiled but not packaged.
 */
import { copyFileSync, existsSync, readdirSync, rmSync } from "node:fs";
import path from "node:path";
import esbuild from "esbuild";

const production = process.argv.includes("--production");
const common = {
  bundle: true,
  minify: production,
  sourcemap: production ? false : "linked",
  target: "es2022",
  logLevel: "warning",
  legalComments: "none",
};
const node = { ...common, platform: "node", format: "cjs", external: ["vscode", "mocha"] };

const builds = [
  { ...node, entryPoints: ["src/extension.ts"], outfile: "dist/extension.js", mainFields: ["module", "main"] },
];
for (const entry of ["src/page/main.ts", "src/page/page.css"].filter((file) => existsSync(file))) {
  const outfile = entry.endsWith(".css") ? "dist/page.css" : "dist/page.js";
  builds.push({ ...common, platform: "browser", format: "iife", entryPoints: [entry], outfile });
}
if (process.argv.includes("--tests")) {
  rmSync("out", { recursive: true, force: true });
  const tests = [...filesBelow("test/unit", ".test.ts"), "test/host/index.ts"].filter((file) => existsSync(file));
  builds.push({ ...node, entryPoints: tests, outdir: "out", outbase: "." });
}

// The package carries the project's licence.
if (production) copyFileSync("../../LICENSE", "LICENSE");
rmSync("dist", { recursive: true, force: true });
if (process.argv.includes("--watch")) {
  for (const build of builds) await (await esbuild.context(build)).watch();
} else {
  await Promise.all(builds.map((build) => esbuild.build(build)));
}

function filesBelow(folder, ending) {
  if (!existsSync(folder)) return [];
  return readdirSync(folder, { recursive: true, encoding: "utf8" })
    .filter((name) => name.endsWith(ending))
    .map((name) => path.join(folder, name));
}
