/** Where the journey takes place: a workspace, a store, and gates at which a workflow waits for the host. */

import { execFileSync } from "node:child_process";
import { mkdirSync, readFileSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

import type { InitializationOptions, Inside, StartParams } from "../../../../protocol/schema/sidestep";
import { Host } from "./host";

/** Waits in its second step until somebody writes into the gate; its first step counts how often it ran. */
const GATED = `from sidestep import command, log, phase

async def main(gate: str):
    phase("work", gate=gate)
    log("at the gate")
    await command(["sh", "-c", "echo ran >> ran-" + gate], id="first")
    await command(["cat", gate], id="gated")
    return {"report": "through " + gate, "data": {"my-key": gate}}
`;

type Capability = Inside["InitializeResult.capabilities.experimental.workflow"];

export class Place {
  readonly folder: string;
  readonly uri: string;
  private readonly command: string[];

  constructor(folder: string, server: string[]) {
    this.folder = join(folder, "work space ü");
    mkdirSync(this.folder);
    this.uri = pathToFileURL(this.folder).href;
    this.command = [...server, `--store=${join(folder, "store.db")}`];
  }

  /** Spawn a server and shake hands. */
  async open(options: InitializationOptions = {}): Promise<Host> {
    const host = new Host(this.command);
    const { capabilities } = await host.request("initialize", {
      processId: process.pid,
      rootUri: null,
      workspaceFolders: [{ uri: this.uri, name: "here" }],
      capabilities: { experimental: { workflow: { protocolVersions: [1], events: true } } },
      initializationOptions: { trust: { folders: [this.uri] }, autoResume: false, ...options },
    });
    const experimental = capabilities["experimental"] as { workflow?: Capability };
    host.server = experimental.workflow;
    await host.notify("initialized", {});
    return host;
  }

  /** Params for a run that waits at a gate of its own. */
  gated(gate: string): StartParams {
    execFileSync("mkfifo", [join(this.folder, gate)]);
    return { script: { source: GATED, name: "gated" }, args: { gate }, startKey: gate };
  }

  /** Let the run through. Resolves when its step has read it. */
  openGate(gate: string): Promise<void> {
    return writeFile(join(this.folder, gate), "go");
  }

  /** How often the first step of the gate's run was carried out. */
  timesRan(gate: string): number {
    return readFileSync(join(this.folder, `ran-${gate}`), "utf8").split("\n").length - 1;
  }
}
