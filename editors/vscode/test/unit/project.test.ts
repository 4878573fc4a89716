import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";

interface Package {
  readonly version: string;
  readonly engines: { readonly vscode: string };
  readonly contributes: {
    readonly commands: readonly { readonly command: string }[];
    readonly menus: Readonly<Record<string, readonly { readonly command: string }[]>>;
    readonly configuration: readonly {
      readonly properties: Readonly<
        Record<string, { readonly description?: string; readonly markdownDescription?: string }>
      >;
    }[];
  };
}

// `npm test` runs in the extension's folder.
const read = (file: string): string => readFileSync(file, "utf8");
const manifest = JSON.parse(read("package.json")) as Package;
const commands = manifest.contributes.commands.map(({ command }) => command);
const settings = manifest.contributes.configuration.flatMap(({ properties }) => Object.entries(properties));

test("the extension has the server's version", () => {
  assert.equal(/^version = "(.*)"$/m.exec(read("../../pyproject.toml"))?.[1], manifest.version);
});

test("every command of the manifest is registered, and every registered one is in it", () => {
  const source = read("src/commands.ts");
  const table = source.slice(source.indexOf("const commands: Record"), source.indexOf("const registered"));
  const registered = [...table.matchAll(/^ {4}(\w+):/gm)].map(([, name]) => `sidestep.${name}`);
  assert.deepEqual([...commands].sort(), registered.sort());
});

test("menus name commands that there are", () => {
  for (const { command } of Object.values(manifest.contributes.menus).flat())
    assert.ok(commands.includes(command), command);
});

test("every setting says what it means, and stands in the README", () => {
  const readme = read("README.md");
  for (const [name, setting] of settings) {
    assert.ok(setting.description ?? setting.markdownDescription, name);
    assert.ok(readme.includes(`| \`${name}\` |`), name);
  }
});

test("every setting is read, and every one that is read is there", () => {
  const used = [...read("src/settings.ts").matchAll(/settings\.get\("([\w.]+)"/g)].map(
    ([, name]) => `sidestep.${name}`,
  );
  // The language client reads how much is traced.
  const names = settings.map(([name]) => name).filter((name) => name !== "sidestep.trace.server");
  assert.deepEqual(used.sort(), names.sort());
});

test("the lock file names no registry", () => assert.doesNotMatch(read("package-lock.json"), /"resolved"|registry/));
