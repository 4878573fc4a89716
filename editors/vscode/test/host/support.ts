/** What the tests in the extension host share: the extension, its workflows, and waiting for what is told. */
import * as assert from "node:assert/strict";
import { existsSync, readFileSync, renameSync, rmSync, watch, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import * as vscode from "vscode";
import type { Event, RunSummary } from "../../../../protocol/schema/sidestep";
import type { Api } from "../../src/extension";
import type { RunListener } from "../../src/runFeed";
import type { Node } from "../../src/runs/runsTree";

const WAIT_MS = 30_000;

export async function extension(): Promise<Api> {
  const found = vscode.extensions.getExtension<Api>("sidestep.sidestep");
  assert.ok(found, "the extension is there");
  return found.activate();
}

export function folder(): vscode.WorkspaceFolder {
  const first = vscode.workspace.workspaceFolders?.[0];
  assert.ok(first);
  return first;
}

export function inFolder(path: string): vscode.Uri {
  return vscode.Uri.joinPath(folder().uri, path);
}

/** Waits until `look` gives something; told of changes by `subscribe`, so that nothing sleeps. */
export function until<T>(
  what: string,
  look: () => T | undefined | false,
  subscribe: (look: () => void) => { dispose(): void },
): Promise<T> {
  return new Promise((resolve, reject) => {
    const subscriptions: { dispose(): void }[] = [];
    const late = setTimeout(() => end(() => reject(new Error(`still waiting: ${what}`))), WAIT_MS);
    const end = (settle: () => void): void => {
      clearTimeout(late);
      for (const subscription of subscriptions) subscription.dispose();
      settle();
    };
    const check = (): void => {
      const found = look();
      if (found) end(() => resolve(found));
    };
    subscriptions.push(subscribe(check));
    check();
  });
}

/** The run, as soon as the window's list shows it so. */
export function untilRun(api: Api, what: string, isSo: (run: RunSummary) => boolean): Promise<RunSummary> {
  return until(
    what,
    () => api.runs.sorted.find(isSo),
    (check) => api.runs.onDidChange(check),
  );
}

export function untilState(api: Api, kind: string): Promise<true> {
  return until(
    `server ${kind}`,
    () => api.sidecar.state.kind === kind || undefined,
    (check) => api.sidecar.onDidChangeState(check),
  ).then(() => true);
}

/** Everything a follower of a run hears. */
export class Recorder implements RunListener {
  readonly heard: Event[] = [];
  readonly states: string[] = [];
  runs = 0;
  resets = 0;
  private readonly changed = new vscode.EventEmitter<void>();

  run(): void {
    this.runs += 1;
    this.changed.fire();
  }
  events(events: readonly Event[]): void {
    this.heard.push(...events);
    this.changed.fire();
  }
  reset(): void {
    this.resets += 1;
    this.changed.fire();
  }
  output(): void {}
  connection(state: string): void {
    this.states.push(state);
    this.changed.fire();
  }
  deleted(): void {}

  until(what: string, isSo: (heard: readonly Event[]) => boolean): Promise<true> {
    return until(
      what,
      () => isSo(this.heard) || undefined,
      (check) => this.changed.event(check),
    ).then(() => true);
  }
}

/** The journal as the server has it. */
export async function journal(api: Api, runId: string): Promise<Event[]> {
  const events: Event[] = [];
  for (;;) {
    const page = await api.sidecar.request("workflow/events", { runId, afterSequence: events.at(-1)?.sequence ?? 0 });
    events.push(...page.events);
    if (!page.hasMore) return events;
  }
}

interface Wish {
  readonly click?: { readonly role: "button" | "option"; readonly name: string };
  readonly type?: string;
  /** A key as playwright calls it, such as `Enter`. */
  readonly press?: string;
  /** The first thing in sight at a CSS selector that has this text; waited for. */
  readonly read?: { readonly where: string; readonly text: string };
}

/** What a person does in the workbench and sees; done by whoever started it (run.mjs), which has hands and eyes. */
export const hand = {
  click: (role: "button" | "option", name: string) => fulfil({ click: { role, name } }),
  type: (text: string) => fulfil({ type: text }),
  press: (key: string) => fulfil({ press: key }),
  read: (where: string, text = "") => fulfil({ read: { where, text } }),
};

let lastWish: Promise<unknown> = Promise.resolve();

function fulfil(wish: Wish): Promise<string> {
  const done = lastWish.then(() => ask(wish));
  lastWish = done.catch(() => undefined);
  return done;
}

async function ask(wish: Wish): Promise<string> {
  const file = process.env.SIDESTEP_HAND ?? "";
  const isAnswered = (): boolean => existsSync(`${file}.answer`);
  const answered = until(`the hand's answer to ${JSON.stringify(wish)}`, isAnswered, (look) => {
    const watcher = watch(dirname(file), look);
    return { dispose: () => watcher.close() };
  });
  writeFileSync(`${file}.new`, JSON.stringify(wish));
  renameSync(`${file}.new`, file);
  await answered;
  const { text, problem } = JSON.parse(readFileSync(`${file}.answer`, "utf8")) as { text?: string; problem?: string };
  rmSync(`${file}.answer`);
  if (problem) throw new Error(`${JSON.stringify(wish)}: ${problem}`);
  return text ?? "";
}

/** The tree below a run, a line for each row, indented. */
export async function rowsBelow(api: Api, runId: string): Promise<string[]> {
  const walk = async (node: Node, indent: string): Promise<string[]> => {
    const rows: string[] = [];
    for (const child of await api.tree.getChildren(node)) {
      const { label, description } = api.tree.getTreeItem(child);
      rows.push(`${indent}${String(label)} ${String(description)}`, ...(await walk(child, `${indent} `)));
    }
    return rows;
  };
  return walk(api.tree.nodeOf(runId), "");
}

/** Leaves the ids of this process and of its server to run.mjs, which looks what becomes of one without the other. */
export function tellProcesses(api: Api): void {
  writeFileSync(
    `${process.env.SIDESTEP_HAND}.processes`,
    JSON.stringify({ host: process.pid, server: api.sidecar.processId }),
  );
}
