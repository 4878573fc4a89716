import assert from "node:assert/strict";
import { test } from "node:test";
import { candidates, expandPath, type Candidate, type Surroundings } from "../../../src/server/candidates";
import { discover, type Probed } from "../../../src/server/discovery";
import { fits, parseVersion, range } from "../../../src/server/version";

const AROUND: Surroundings = {
  settingPath: "",
  interpreter: "/envs/shop/bin/python",
  folders: ["/projects/shop", "/projects/lib"],
  isTrusted: true,
  isWindows: false,
  home: "/home/ann",
  environment: { TOOLS: "/opt/tools" },
  extensionVersion: "0.1.0",
};

/** Asks candidates that print what is given for their source; the others are not there. */
function probing(printed: Partial<Record<Candidate["source"], string>>) {
  const asked: string[] = [];
  const probe = (candidate: Candidate): Promise<Probed> => {
    asked.push(candidate.source);
    const text = printed[candidate.source];
    return Promise.resolve(text === undefined ? { kind: "missing" } : { kind: "printed", text });
  };
  return { asked, probe };
}

test("interpreter, .venv of each folder, PATH and uvx are looked at in this order", () => {
  const found = candidates(AROUND).map(({ source, command }) => [source, command]);
  assert.deepEqual(found, [
    ["interpreter", "/envs/shop/bin/python"],
    ["venv", "/projects/shop/.venv/bin/sidestep"],
    ["venv", "/projects/lib/.venv/bin/sidestep"],
    ["path", "sidestep"],
    ["uvx", "uvx"],
  ]);
  assert.deepEqual(candidates(AROUND).at(-1)?.args, ["sidestep==0.1.0"]);
});

test("a setting is the only candidate", () => {
  const found = candidates({ ...AROUND, settingPath: "~/bin/sidestep" });
  assert.deepEqual(
    found.map(({ source, command }) => [source, command]),
    [["setting", "/home/ann/bin/sidestep"]],
  );
});

test("nothing of an untrusted workspace is started", () => {
  const found = candidates({ ...AROUND, isTrusted: false });
  assert.deepEqual(
    found.map(({ source }) => source),
    ["path", "uvx"],
  );
});

test("on Windows the program of a .venv stands in Scripts", () => {
  const found = candidates({ ...AROUND, isWindows: true, folders: ["C:\\shop"] });
  assert.equal(found[1]?.command, "C:\\shop\\.venv\\Scripts\\sidestep.exe");
});

for (const [written, path] of [
  ["sidestep", "sidestep"],
  ["/usr/bin/sidestep", "/usr/bin/sidestep"],
  ["bin/sidestep", "/projects/shop/bin/sidestep"],
  ["${workspaceFolder}/x", "/projects/shop/x"],
  ["${userHome}/x", "/home/ann/x"],
  ["${env:TOOLS}/x", "/opt/tools/x"],
] as const) {
  test(`the path ${written} is ${path}`, () => assert.equal(expandPath(written, AROUND), path));
}

test("the first candidate with a version that fits is taken, and the rest is not asked", async () => {
  const { asked, probe } = probing({
    interpreter: "sidestep 0.3.0\n",
    path: "sidestep 0.1.7\n",
    uvx: "sidestep 0.1.0",
  });
  const { found, passedOver } = await discover(candidates(AROUND), probe, "0.1.0");
  assert.equal(found?.candidate.source, "path");
  assert.equal(found?.version, "0.1.7");
  assert.deepEqual(asked, ["interpreter", "venv", "venv", "path"]);
  assert.match(passedOver[0] ?? "", /is Sidestep 0\.3\.0; this extension, 0\.1\.0, needs 0\.1\.x/);
});

test("when only other versions are there, both versions are told", async () => {
  const { probe } = probing({ interpreter: "sidestep 2.0.0" });
  const { found, problem } = await discover(candidates(AROUND), probe, "0.1.0");
  assert.equal(found, undefined);
  assert.equal(problem?.kind, "version");
  assert.match(problem?.message ?? "", /Sidestep 2\.0\.0; this extension, 0\.1\.0/);
});

test("when nothing is there, the person is told how to install it", async () => {
  const { problem } = await discover(candidates(AROUND), probing({}).probe, "0.1.0");
  assert.equal(problem?.kind, "missing");
  assert.match(problem?.message ?? "", /pip install sidestep/);
});

test("a setting that names something else is told with what it printed, and nothing else is tried", async () => {
  const { asked, probe } = probing({ setting: "Python 3.11.7", path: "sidestep 0.1.0" });
  const { problem } = await discover(candidates({ ...AROUND, settingPath: "/usr/bin/python3" }), probe, "0.1.0");
  assert.equal(problem?.kind, "setting");
  assert.match(
    problem?.message ?? "",
    /sidestep\.server\.path\): printed no version of Sidestep but "Python 3\.11\.7"/,
  );
  assert.deepEqual(asked, ["setting"]);
});

test("versions are read as they are printed", () => {
  assert.deepEqual(parseVersion("sidestep 0.1.0\n")?.numbers, [0, 1, 0]);
  assert.deepEqual(parseVersion("sidestep 1.2rc1")?.numbers, [1, 2, 0]);
  for (const line of ["", "sidestep", "sidestep x", "other 1.0.0", "0.1.0"])
    assert.equal(parseVersion(line), undefined);
});

for (const [server, extension, expected] of [
  ["0.1.0", "0.1.0", true],
  ["0.1.9", "0.1.0", true],
  ["0.1.0", "0.1.3", true],
  ["0.2.0", "0.1.0", false],
  ["1.0.0", "0.1.0", false],
  ["1.4.0", "1.2.0", true],
  ["2.0.0", "1.2.0", false],
] as const) {
  test(`server ${server} ${expected ? "fits" : "does not fit"} extension ${extension}`, () => {
    const version = parseVersion(`sidestep ${server}`);
    assert.ok(version);
    assert.equal(fits(version, extension), expected);
  });
}

test("the range is told as people write it", () => {
  assert.deepEqual([range("0.1.0"), range("1.2.3")], ["0.1.x", "1.x"]);
});
