/** In a trusted folder: runs from their start to their end, through questions, interrupts and deaths of the server. */
import * as assert from "node:assert/strict";
import * as vscode from "vscode";
import type { Api } from "../../src/extension";
import {
  extension,
  folder,
  hand,
  inFolder,
  journal,
  Recorder,
  rowsBelow,
  tellProcesses,
  until,
  untilRun,
  untilState,
} from "./support";

const QUICK = `"""Nothing."""
async def main():
    return "done"
`;

export function trustedSuite(): void {
  let api: Api;

  before(async () => {
    api = await extension();
    await untilState(api, "running");
  });

  afterEach(async () => {
    for (const { runId } of api.runs.active) await api.sidecar.request("workflow/interrupt", { runId });
    for (const command of ["closeQuickOpen", "closeAllEditors"]) {
      await vscode.commands.executeCommand(`workbench.action.${command}`);
    }
    // The next test's page is not to be taken for this one's.
    await untilPagesOpen(0);
    await vscode.commands.executeCommand("notifications.clearAll");
    for (const name of ["run.askForArguments", "run.mode"]) await choose(name, undefined);
    await vscode.workspace.fs.delete(inFolder("go")).then(undefined, () => undefined);
  });

  /** A setting that no other server is started for. */
  const choose = (name: string, value: unknown) => vscode.workspace.getConfiguration("sidestep").update(name, value);
  const go = () => vscode.workspace.fs.writeFile(inFolder("go"), new Uint8Array());
  /** The run of a name that was not there before `begin`, as soon as the list shows it. */
  const started = async (name: string, begin: () => Thenable<unknown>) => {
    const before = new Set(api.runs.sorted.map(({ runId }) => runId));
    await begin();
    return untilRun(api, `${name} started`, (run) => run.name === name && !before.has(run.runId));
  };
  const start = (name: string) => started(name, () => vscode.commands.executeCommand("sidestep.runWorkflow", name));
  const status = (runId: string, wanted: string) =>
    untilRun(api, `${runId} ${wanted}`, (run) => run.runId === runId && run.status === wanted);
  const waiting = (runId: string) =>
    untilRun(api, "one step done", (run) => run.runId === runId && run.phase === "second");

  const pagesOpen = (): number => {
    const inputs = vscode.window.tabGroups.all.flatMap(({ tabs }) => tabs).map(({ input }) => input);
    return inputs.filter((one) => one instanceof vscode.TabInputWebview && one.viewType.includes("sidestep.run"))
      .length;
  };

  /** The workbench tells of a tab, or of a whole group anew, when it likes: a run may start and end before. */
  const untilPagesOpen = (count: number) =>
    until(
      `${count} pages`,
      () => pagesOpen() === count,
      (look) => {
        const { onDidChangeTabs, onDidChangeTabGroups } = vscode.window.tabGroups;
        return vscode.Disposable.from(onDidChangeTabs(look), onDidChangeTabGroups(look));
      },
    );

  /** Changes a setting that another server is started for, and waits for that one. */
  const set = async (name: string, value: unknown, becomes = "running") => {
    const isOther = (): true | undefined => (api.sidecar.state.kind === "starting" ? true : undefined);
    const other = until("another server", isOther, (look) => api.sidecar.onDidChangeState(look));
    await vscode.workspace.getConfiguration("sidestep").update(name, value, vscode.ConfigurationTarget.Workspace);
    await other;
    await untilState(api, becomes);
  };

  it("activates in a folder with workflows, and greets the server", async () => {
    assert.equal(api.sidecar.state.kind, "running");
    const { scripts } = await api.sidecar.request("workflow/scripts", { workspaceFolder: folder().uri.toString() });
    assert.ok(
      scripts.some(({ name, runnable }) => name === "slow" && runnable),
      "VS Code's trust was passed on",
    );
  });

  it("checks workflow scripts as they are opened", async () => {
    const uri = inFolder(".sidestep/workflows/broken.py");
    await vscode.window.showTextDocument(uri);
    const diagnostics = await until(
      "a diagnostic",
      () => vscode.languages.getDiagnostics(uri).at(0),
      (look) => vscode.languages.onDidChangeDiagnostics(look),
    );
    assert.equal(diagnostics.source, "sidestep");
  });

  it("starts a workflow by name, shows it in the list, and opens its page", async () => {
    await go();
    const { runId } = await start("slow");
    const run = await status(runId, "completed");
    assert.deepEqual([run.steps.completed, run.steps.failed], [2, 0]);
    await untilPagesOpen(1);
  });

  it("starts the workflow in the editor, saved as it is seen", async () => {
    await go();
    const uri = inFolder(".sidestep/workflows/slow.py");
    const editor = await vscode.window.showTextDocument(uri);
    await editor.edit((edit) => edit.replace(new vscode.Range(0, 0, 0, 3), '"""Saved. '));
    const { runId } = await started("slow", () => vscode.commands.executeCommand("sidestep.runFile", uri));
    await status(runId, "completed");
    assert.equal(editor.document.isDirty, false);
  });

  it("runs a workflow from its code lens, with the page", async () => {
    await go();
    const uri = inFolder(".sidestep/workflows/slow.py");
    await vscode.window.showTextDocument(uri);
    const lenses = await vscode.commands.executeCommand<vscode.CodeLens[]>("vscode.executeCodeLensProvider", uri, 100);
    const lens = lenses.find(({ command }) => command?.command === "sidestep.run")?.command;
    assert.ok(lens, "a lens that runs it");
    const { command, arguments: given = [] } = lens;
    const { runId } = await started("slow", () => vscode.commands.executeCommand(command, ...given));
    await status(runId, "completed");
    const { run } = await api.sidecar.request("workflow/get", { runId });
    assert.equal(run.attention, "blocking", "it is this window's, not one in the server's background");
  });

  it("interrupts the run when its progress is cancelled, and continues it with what was done", async () => {
    const { runId } = await start("slow");
    await waiting(runId);
    // A window under test shows no toasts, only the list of them.
    await vscode.commands.executeCommand("notifications.showList");
    await hand.click("button", "Cancel");
    const interrupted = await status(runId, "interrupted");
    assert.equal(interrupted.reason, "cancelled");
    await go();
    await vscode.commands.executeCommand("sidestep.continueRun", runId);
    const run = await status(runId, "completed");
    assert.deepEqual([run.steps.reused, run.steps.completed], [1, 2]);
  });

  it("moves a run to the background, which goes on", async () => {
    const { runId } = await start("slow");
    await waiting(runId);
    await vscode.commands.executeCommand("sidestep.backgroundRun", runId);
    await status(runId, "backgrounded");
    await go();
    await status(runId, "completed");
  });

  it("goes on with the edited script, and keeps what was done", async () => {
    const { runId } = await start("slow");
    await waiting(runId);
    await vscode.commands.executeCommand("sidestep.interruptRun", runId);
    await status(runId, "interrupted");
    const uri = inFolder(".sidestep/workflows/slow.py");
    const document = await vscode.workspace.openTextDocument(uri);
    const edit = new vscode.WorkspaceEdit();
    const at = document.getText().indexOf("# {word}");
    edit.insert(uri, document.positionAt(at + 2), "edited ");
    assert.ok(await vscode.workspace.applyEdit(edit));
    assert.ok(document.isDirty, "what is not saved yet goes on as it is seen");
    await go();
    await vscode.commands.executeCommand("sidestep.continueRunWithEditedScript", runId);
    await status(runId, "completed");
    const { run } = await api.sidecar.request("workflow/get", { runId, include: ["result"] });
    assert.equal(run.result?.report, "# edited hello");
    assert.equal(run.steps.reused, 1);
  });

  it("asks for arguments by their types, checks what is typed, and leaves defaults alone", async () => {
    await choose("run.askForArguments", "always");
    const before = new Set(api.runs.sorted.map(({ runId }) => runId));
    const asked = vscode.commands.executeCommand("sidestep.runWorkflow", "form");
    await hand.read(".quick-input-title", "Run form: count");
    await hand.type("2.5");
    await hand.read(".quick-input-message", "A whole number has to stand here");
    await hand.press("Enter");
    await hand.press("Backspace");
    await hand.press("Backspace");
    await hand.press("Enter");
    // All stands on one page now.
    await hand.read(".quick-input-list .monaco-list-row", "calm (default)");
    assert.match(await hand.read(".quick-input-list .monaco-list-row", "count"), /count2/);
    await hand.type("pace");
    await hand.press("Enter");
    await hand.click("option", "brisk");
    await hand.read(".quick-input-list .monaco-list-row", "files");
    await hand.type("files");
    await hand.press("Enter");
    await hand.read(".quick-input-title", "Run form: files");
    await hand.type("a.py, b.py");
    await hand.press("Enter");
    await hand.read(".quick-input-list .monaco-list-row", "a.py, b.py");
    await hand.press("Enter");
    await asked;
    const isNew = (run: { name: string; runId: string }): boolean => run.name === "form" && !before.has(run.runId);
    const { runId } = await untilRun(api, "form started", isNew);
    await status(runId, "completed");
    const { run } = await api.sidecar.request("workflow/get", { runId, include: ["result", "args"] });
    assert.deepEqual(run.args, { count: 2, pace: "brisk", files: ["a.py", "b.py"] }, "only what was given");
    assert.deepEqual(run.result?.data, { count: 2, pace: "brisk", dry: false, files: ["a.py", "b.py"] });
  });

  it("counts active runs in the status bar, and offers to open one that ended in the background", async () => {
    await choose("run.mode", "background");
    const { runId } = await start("slow");
    await waiting(runId);
    assert.match(await hand.read(".statusbar-item", "1 run"), /1 run/);
    await untilPagesOpen(1);
    await vscode.commands.executeCommand("workbench.action.closeAllEditors");
    await untilPagesOpen(0);
    await go();
    await status(runId, "completed");
    await vscode.commands.executeCommand("notifications.showList");
    await hand.read(".notification-list-item", "slow has completed.");
    assert.equal(pagesOpen(), 0);
    await hand.click("button", "Open");
    await untilPagesOpen(1);
  });

  it("filters the tree by what is typed, and shows more of many runs when asked", async () => {
    const params = { script: { source: QUICK, name: "quick" }, workspaceFolder: folder().uri.toString() };
    const many = Array.from({ length: 35 }, () =>
      api.sidecar.request("workflow/start", { ...params, mode: "background" }),
    );
    const started = await Promise.all(many);
    for (const { runId } of started) await status(runId, "completed");
    await vscode.commands.executeCommand("sidestep.refreshRuns");
    const rows = async (): Promise<string[]> =>
      (await api.tree.getChildren()).map((node) => String(api.tree.getTreeItem(node).label));
    assert.deepEqual(await rows(), [...Array.from({ length: 30 }, () => "quick"), "Show more…"]);
    await vscode.commands.executeCommand("sidestep.loadMore", { type: "moreRuns" });
    assert.equal((await rows()).filter((label) => label === "quick").length, 35);
    const filtering = vscode.commands.executeCommand("sidestep.filterRuns");
    await hand.read(".quick-input-title", "Filter Runs");
    await hand.type("slo");
    await hand.press("Enter");
    await filtering;
    assert.deepEqual([...new Set(await rows())], ["slow"]);
    await vscode.commands.executeCommand("sidestep.clearFilter");
    assert.ok((await rows()).includes("quick"));
  });

  it("asks what the run asks, and gives it the answer", async () => {
    const { runId } = await start("ask");
    await hand.click("option", "yes");
    await status(runId, "completed");
    const { run } = await api.sidecar.request("workflow/get", { runId, include: ["result"] });
    assert.equal(run.result?.report, "answered yes");
  });

  it("shows phases, steps, kept ones and nested runs in the tree", async () => {
    const { runId } = await start("slow");
    await waiting(runId);
    await vscode.commands.executeCommand("sidestep.interruptRun", runId);
    await status(runId, "interrupted");
    await go();
    await vscode.commands.executeCommand("sidestep.continueRun", runId);
    await status(runId, "completed");
    const rows = await rowsBelow(api, runId);
    assert.deepEqual(
      rows.map((row) => row.replace(/\d+\.?\d* s/, "T")),
      ["first 1 of 1", " say kept · T", "second 1 of 1", " wait T · attempt 2"],
    );
    const outer = await start("outer");
    await status(outer.runId, "completed");
    const below = await rowsBelow(api, outer.runId);
    assert.deepEqual(
      below.map((row) => row.trim().split(" ")[0]),
      ["inside", "inner", "first", "say", "second", "wait"],
    );
  });

  it("follows a run through the death of the server, without gap or duplicate", async () => {
    const { runId } = await start("busy");
    const recorder = new Recorder();
    const following = api.feed.follow(runId, recorder);
    await recorder.until("twenty events", (heard) => heard.length >= 20);
    const died = api.sidecar.processId;
    assert.ok(died);
    process.kill(died, "SIGKILL");
    await recorder.until("the reconnect", () => recorder.states.length >= 3);
    assert.notEqual(api.sidecar.processId, died);
    // Its last steps are held until now: it was under way when the server died.
    await go();
    await status(runId, "completed");
    const kept = await journal(api, runId);
    await recorder.until("the last event", (heard) => heard.length >= kept.length);
    following.dispose();
    assert.deepEqual(recorder.heard, kept);
    assert.deepEqual(
      kept.map(({ sequence }) => sequence),
      kept.map((_, index) => index + 1),
    );
    assert.deepEqual(recorder.states, ["connected", "reconnecting", "connected"]);
    assert.equal(recorder.resets, 0);
  });

  it("sends a start again that the server died under, and it is made once", async () => {
    const forms = async (): Promise<string[]> =>
      (await api.sidecar.request("workflow/list", { name: "form" })).runs.map(({ runId }) => runId);
    const before = await forms();
    const starting = vscode.commands.executeCommand("sidestep.runWorkflow", "form");
    await hand.read(".quick-input-title", "Run form: count");
    await hand.type("3");
    const died = api.sidecar.processId;
    assert.ok(died);
    // Held still, the server gets the start and never reads it.
    process.kill(died, "SIGSTOP");
    await hand.press("Enter");
    await vscode.commands.executeCommand("notifications.showList");
    await hand.read(".notification-list-item", "form");
    process.kill(died, "SIGKILL");
    await starting;
    const isNew = (run: { name: string; runId: string }): boolean => run.name === "form" && !before.includes(run.runId);
    const { runId } = await untilRun(api, "the run is there", isNew);
    await status(runId, "completed");
    assert.deepEqual(
      (await forms()).filter((one) => !before.includes(one)),
      [runId],
    );
    await untilPagesOpen(1);
  });

  it("gives a second follower everything from the beginning, and the first one nothing twice", async () => {
    const { runId } = await start("slow");
    const [first, second] = [new Recorder(), new Recorder()];
    const one = api.feed.follow(runId, first);
    await first.until("an event", (heard) => heard.length > 0);
    const two = api.feed.follow(runId, second);
    await second.until("an event", (heard) => heard.length > 0);
    // Not before both follow it: the rest comes to both as it happens.
    await go();
    await status(runId, "completed");
    const kept = await journal(api, runId);
    for (const recorder of [first, second])
      await recorder.until("the last event", (heard) => heard.length >= kept.length);
    assert.deepEqual(first.heard, kept);
    assert.deepEqual(second.heard, kept);
    one.dispose();
    two.dispose();
  });

  it("fails an agent step clearly when the window has no language model", async () => {
    await set("languageModel.enabled", true);
    const { runId } = await start("think");
    await status(runId, "failed");
    const { run } = await api.sidecar.request("workflow/get", { runId });
    await set("languageModel.enabled", undefined);
    assert.match(run.error?.message ?? "", /^This window has no language model/);
  });

  it("says at once which setting the server cannot read, and starts again when it is put right", async () => {
    await set("agents", { x: { kind: "nonsense" } }, "stopped");
    const { state } = api.sidecar;
    assert.ok(state.kind === "stopped");
    assert.match(state.problem ?? "", /refused to start: .*agents.*expected one of acp, cli, host/);
    await set("agents", undefined);
  });

  it("leaves no server behind when it is restarted", async () => {
    const old = api.sidecar.processId;
    assert.ok(old);
    await vscode.commands.executeCommand("sidestep.restartServer");
    await untilState(api, "running");
    assert.notEqual(api.sidecar.processId, old);
    assert.throws(() => process.kill(old, 0), /ESRCH/);
  });

  after(() => tellProcesses(api));
}
