/** What the workbench calls inside the extension host: mocha with the suite that this window is for. */
import { appendFileSync } from "node:fs";
import Mocha from "mocha";
import { serverlessSuite } from "./serverlessSuite";
import { trustedSuite } from "./trustedSuite";
import { untrustedSuite } from "./untrustedSuite";

const SUITES: Readonly<Record<string, () => void>> = {
  trusted: trustedSuite,
  untrusted: untrustedSuite,
  serverless: serverlessSuite,
};

export function run(): Promise<void> {
  const mocha = new Mocha({ ui: "bdd", timeout: 40_000, color: false, grep: process.env.SIDESTEP_GREP ?? "" });
  const name = process.env.SIDESTEP_SUITE ?? "trusted";
  mocha.suite.emit("pre-require", globalThis, "index", mocha);
  SUITES[name]?.();
  return new Promise((resolve, reject) => {
    const runner = mocha.run((failures) => (failures ? reject(new Error(`${failures} tests failed`)) : resolve()));
    runner.on("pass", (test) => tell(`    ok    ${test.title} (${test.duration} ms)`));
    runner.on("fail", (test, error) => tell(`    FAIL  ${test.title}\n${(error as Error).stack}`));
  });
}

/** What the console says here reaches the terminal late and in pieces: results have a file of their own. */
function tell(line: string): void {
  appendFileSync(process.env.SIDESTEP_RESULTS ?? "/dev/null", `${line}\n`);
}
