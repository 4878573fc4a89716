/**
 * Run pages: one webview panel for each run that is open, its messages, and its way back after a reload.
 *
 * Owns panels and their subscriptions; decides nothing about runs (RunFeed, RunActions) and draws nothing (src/page).
 * Invariant: a page that is not visible follows nothing; shown again, it starts from the journal.
 */
import { randomBytes } from "node:crypto";
import * as vscode from "vscode";

import type { FromPage, PageState, ToPage } from "./pageMessages";
import type { Interaction, RunActions, RunFeed } from "./runFeed";

const VIEW_TYPE = "sidestep.run";
/** Child runs that one page follows at a time. */
const CHILDREN_MAX = 50;

export class RunPages implements vscode.Disposable, vscode.WebviewPanelSerializer<PageState> {
  readonly #pages = new Map<string, RunPage>();
  readonly #subscription: vscode.Disposable;

  constructor(
    private readonly context: vscode.ExtensionContext,
    private readonly feed: RunFeed,
    private readonly actions: RunActions,
  ) {
    this.#subscription = vscode.window.registerWebviewPanelSerializer(VIEW_TYPE, this);
  }

  /** Show the run's page; made when there is none. */
  open(runId: string): void {
    const page = this.#pages.get(runId);
    if (page) return page.reveal();
    const panel = vscode.window.createWebviewPanel(VIEW_TYPE, "Sidestep Run", vscode.ViewColumn.Active, {});
    this.#adopt(panel, runId);
  }

  /** VS Code gives back the panels of the last session. */
  deserializeWebviewPanel(panel: vscode.WebviewPanel, state: PageState | undefined): Promise<void> {
    // A page that never got to its first message has no state.
    if (state?.runId && !this.#pages.has(state.runId)) this.#adopt(panel, state.runId);
    else panel.dispose();
    return Promise.resolve();
  }

  dispose(): void {
    this.#subscription.dispose();
    for (const page of this.#pages.values()) page.stop();
  }

  #adopt(panel: vscode.WebviewPanel, runId: string): void {
    const openRun = (other: string): void => this.open(other);
    const page = new RunPage(panel, runId, this.context.extensionUri, this.feed, this.actions, openRun);
    this.#pages.set(runId, page);
    panel.onDidDispose(() => {
      page.stop();
      this.#pages.delete(runId);
    });
  }
}

class RunPage {
  /** By run: the page's own, and the children it shows. */
  readonly #followed = new Map<string, vscode.Disposable>();
  readonly #subscriptions: vscode.Disposable[] = [];
  /** A panel that is gone must not be touched: it throws. What was asked for before may still come. */
  #isGone = false;
  #pending: readonly Interaction[] = [];

  constructor(
    private readonly panel: vscode.WebviewPanel,
    private readonly runId: string,
    extensionUri: vscode.Uri,
    private readonly feed: RunFeed,
    private readonly actions: RunActions,
    private readonly openRun: (runId: string) => void,
  ) {
    const dist = vscode.Uri.joinPath(extensionUri, "dist");
    panel.webview.options = { enableScripts: true, localResourceRoots: [dist] };
    this.#subscriptions.push(
      panel.webview.onDidReceiveMessage((message: FromPage) => this.#receive(message)),
      panel.onDidChangeViewState(() => (panel.visible ? void this.#tellScriptEdited() : this.#unfollowAll())),
      vscode.workspace.onDidSaveTextDocument(() => void this.#tellScriptEdited()),
    );
    panel.webview.html = html(panel.webview, dist, runId);
  }

  reveal(): void {
    this.panel.reveal();
  }

  /** Lets go of everything; the panel is disposed of by whoever closes it. */
  stop(): void {
    this.#isGone = true;
    this.#unfollowAll();
    for (const subscription of this.#subscriptions.splice(0)) subscription.dispose();
  }

  #receive(message: FromPage): void {
    switch (message.type) {
      case "ready":
        this.#unfollowAll();
        this.#follow(this.runId);
        return;
      case "follow":
        if (this.#followed.size <= CHILDREN_MAX) this.#follow(message.runId);
        return;
      case "unfollow":
        this.#followed.get(message.runId)?.dispose();
        this.#followed.delete(message.runId);
        return;
      case "interrupt":
        return this.#act(message.type, this.actions.interrupt(this.runId));
      case "background":
        return this.#act(message.type, this.actions.background(this.runId));
      case "rerun":
        return this.#act(message.type, this.actions.rerun(this.runId));
      case "continue":
        return this.#act(message.type, this.actions.continueRun(this.runId, { withCurrentSource: false }));
      case "continueEdited":
        return this.#act(message.type, this.actions.continueRun(this.runId, { withCurrentSource: true }));
      case "answer": {
        const interaction = this.#pending.find((each) => each.interactionId === message.interactionId);
        const answered = interaction ? this.actions.answer(interaction, message.answer) : Promise.resolve();
        return this.#act(`answer ${message.interactionId}`, answered);
      }
      case "openScript":
        return this.#act(message.type, this.actions.openScript(message.runId, message.line));
      case "openRun":
        return this.openRun(message.runId);
      case "stepOutput":
        return void this.#tellStepOutput(message);
    }
  }

  #follow(runId: string): void {
    this.#followed.get(runId)?.dispose();
    const own = runId === this.runId;
    const following = this.feed.follow(runId, {
      run: (run, pending) => {
        if (own) {
          this.panel.title = run.label ?? run.name;
          this.#pending = pending;
          void this.#tellScriptEdited();
        }
        this.#tell({ type: "run", runId, run, pending, serverNow: Date.now() });
      },
      events: (events) => this.#tell({ type: "events", runId, events }),
      reset: () => this.#tell({ type: "reset", runId }),
      output: (stepId, _stream, text, droppedBytes) => {
        this.#tell({ type: "output", runId, stepId, text, droppedBytes });
      },
      connection: (state, message) => {
        if (own) this.#tell({ type: "connection", state, message });
      },
      deleted: () => this.#tell({ type: "deleted", runId }),
    });
    this.#followed.set(runId, following);
  }

  #unfollowAll(): void {
    for (const following of this.#followed.values()) following.dispose();
    this.#followed.clear();
  }

  #act(action: string, ended: Promise<void>): void {
    const done = (): void => this.#tell({ type: "done", action });
    ended.then(done, done);
  }

  async #tellScriptEdited(): Promise<void> {
    const edited = await this.actions.canUseCurrentSource(this.runId).catch(() => false);
    this.#tell({ type: "scriptEdited", edited });
  }

  async #tellStepOutput(asked: Extract<FromPage, { type: "stepOutput" }>): Promise<void> {
    const { runId, id } = asked;
    try {
      const { steps } = await this.feed.request("workflow/steps", { runId, stepId: asked.stepId, outputs: true });
      const { output, outputUri } = steps.find((each) => each.key === asked.key) ?? {};
      const message = outputUri && output === undefined ? `Too large to show; it is in ${outputUri}` : undefined;
      this.#tell({ type: "stepOutput", runId, id, output, message });
    } catch (error) {
      this.#tell({ type: "stepOutput", runId, id, message: (error as Error).message });
    }
  }

  #tell(message: ToPage): void {
    if (!this.#isGone) void this.panel.webview.postMessage(message);
  }
}

/** The page's frame. Nothing but its own script, by nonce, and its own style is let in; nothing is fetched. */
function html(webview: vscode.Webview, dist: vscode.Uri, runId: string): string {
  const nonce = randomBytes(16).toString("base64");
  const address = (file: string): string => webview.asWebviewUri(vscode.Uri.joinPath(dist, file)).toString();
  const policy = `default-src 'none'; style-src ${webview.cspSource}; script-src 'nonce-${nonce}'`;
  return `<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="${policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<link rel="stylesheet" href="${address("page.css")}">
<title>Sidestep Run</title>
</head>
<body data-run-id="${runId.replace(/[^\w-]/g, "")}">
<main id="page"></main>
<script nonce="${nonce}" src="${address("page.js")}"></script>
</body>
</html>`;
}
