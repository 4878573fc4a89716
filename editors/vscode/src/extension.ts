/** Puts the extension together, and takes it apart. Decides nothing. */
import * as vscode from "vscode";
import { LSPErrorCodes, ResponseError } from "vscode-languageclient/node";
import { doWithEditorModel } from "./agent/editorModel";
import { HostTasks } from "./agent/hostTasks";
import { Questions, type About } from "./ask/questions";
import { lensMiddleware } from "./client/lensCommands";
import { Sidecar } from "./client/sidecar";
import { passTrustOn, trustedFolders } from "./client/trust";
import { registerCommands } from "./commands";
import { LiveRuns } from "./feed/liveRuns";
import { Actions } from "./runs/actions";
import { AttendedRuns } from "./runs/attended";
import { RunList } from "./runs/runList";
import { RunsTree } from "./runs/runsTree";
import { StepLists } from "./runs/stepLists";
import type { RunFeed } from "./runFeed";
import { RunPages } from "./runPage";
import { findServer } from "./server/findServer";
import { needsRestart, readSettings } from "./settings";
import { folderUris } from "./start/folders";
import { StartRuns } from "./start/startRuns";
import { tellEnds } from "./ui/endMessages";
import { showRunsView } from "./ui/runsView";
import { tellServerProblem } from "./ui/serverProblem";
import { showStatus } from "./ui/statusBar";

/** Set in a workspace where workflows have run: its runs may have to go on when it is opened again. */
const USED = "sidestep.used";
const timers = { after: (milliseconds: number, action: () => void) => void setTimeout(action, milliseconds) };

/** For the extension's own tests. */
export interface Api {
  readonly sidecar: Sidecar;
  readonly runs: RunList;
  readonly feed: LiveRuns;
  readonly tree: RunsTree;
}

let stop: (() => Promise<void>) | undefined;

export async function activate(context: vscode.ExtensionContext): Promise<Api> {
  const log = vscode.window.createOutputChannel("Sidestep", { log: true });
  const extensionVersion = String(context.extension.packageJSON.version);
  const sidecar: Sidecar = new Sidecar({
    extensionVersion,
    log,
    workingDirectory: context.extensionPath,
    discover: () => findServer(extensionVersion, context.extensionPath),
    middleware: () => lensMiddleware({ starts, actions, open }),
    greeting,
    gaveUp: (problem, kind) => void tellServerProblem(problem, kind),
    now: () => Date.now(),
  });
  const runs = new RunList(sidecar, folderUris);
  const attended = new AttendedRuns(sidecar, runs);
  const feed = new LiveRuns(sidecar, timers);
  const steps = new StepLists(feed, timers);
  const tree = new RunsTree(sidecar, runs, steps);
  const open = (runId: string): void => pages.open(runId);
  const starts = new StartRuns({ sidecar, attended, open });
  const actions = new Actions({ sidecar, attended, starts });
  const pages = new RunPages(context, startedWhenFollowed(feed, sidecar), actions);
  const questions = new Questions({ open, about: (runId) => about(runId, sidecar, attended) });
  serveRequests(sidecar, questions);
  const isAttended = (runId: string): boolean => attended.has(runId);
  const goOn = (runId: string): void => void actions.continueRun(runId, { withCurrentSource: false });
  tellEnds(sidecar, { isAttended, open, goOn });
  sidecar.onNotification("workflow/statusChanged", () => void context.workspaceState.update(USED, true));

  const follow = (state: Sidecar["state"]): void => {
    if (state.kind === "running")
      void runs.reload().catch((error: Error) => log.warn(`The runs cannot be listed: ${error.message}`));
    const kind = state.kind === "running" ? "connected" : state.kind === "stopped" ? "stopped" : "reconnecting";
    feed.connection(kind, state.kind === "stopped" ? state.problem : undefined);
  };
  context.subscriptions.push(
    log,
    sidecar,
    pages,
    sidecar.onDidChangeState(follow),
    registerCommands({ sidecar, runs, steps, starts, actions, questions, log, open }),
    showRunsView(tree, steps, runs),
    showStatus(sidecar, runs),
    passTrustOn(sidecar),
    vscode.workspace.onDidChangeWorkspaceFolders(() => sidecar.state.kind === "running" && void runs.reload()),
    vscode.workspace.onDidChangeConfiguration((change) => {
      if (needsRestart(change) && sidecar.state.kind !== "idle") void sidecar.restart();
    }),
  );
  stop = () => sidecar.stop();
  if (context.workspaceState.get(USED) || (await hasScripts())) void sidecar.start();
  return { sidecar, runs, feed, tree };
}

/** The host waits for this, a few seconds at most: the server drains, and nothing is left behind. */
export async function deactivate(): Promise<void> {
  await stop?.();
}

/** A page that VS Code gives back after a reload is shown before anybody asked the server for anything. */
function startedWhenFollowed(feed: LiveRuns, sidecar: Sidecar): RunFeed {
  return {
    follow: (runId, listener) => {
      if (sidecar.state.kind === "idle") void sidecar.start();
      return vscode.Disposable.from(feed.follow(runId, listener));
    },
    request: (method, params) => feed.request(method, params),
  };
}

/** What is said to each new server. */
function greeting() {
  const settings = readSettings();
  return {
    serverArguments: settings.serverArguments,
    capability: { events: true, output: true, interaction: true, runTask: settings.languageModelIsAgent },
    initializationOptions: {
      trust: { folders: trustedFolders() },
      autoResume: settings.autoResume,
      agents: { ...settings.agents },
      ...(settings.permissionPolicy ? { permissionPolicy: settings.permissionPolicy } : {}),
      ...(settings.defaultAgent ? { defaultAgent: settings.defaultAgent } : {}),
    },
  };
}

function serveRequests(sidecar: Sidecar, questions: Questions): void {
  const progress = (taskId: string, message: string): void =>
    sidecar.notify("workflow/taskProgress", { taskId, message: message.slice(0, 500) });
  const model = { wanted: () => readSettings().languageModel, progress };
  const tasks = new HostTasks((task, signal) => doWithEditorModel(task, signal, model));
  sidecar.onRequest("workflow/interact", (params, token) => questions.interact(params, token));
  sidecar.onRequest("workflow/runTask", async (params, token) => {
    try {
      return await tasks.run(params, token);
    } catch (error) {
      // The step fails with this message: it is for people, and nothing stands before it.
      throw new ResponseError(LSPErrorCodes.RequestFailed, error instanceof Error ? error.message : String(error));
    }
  });
}

/** Whose question it is; a nested run's is its root's. */
async function about(runId: string, sidecar: Sidecar, attended: AttendedRuns): Promise<About> {
  try {
    const { run } = await sidecar.request("workflow/get", { runId });
    const root = run.rootRunId === runId ? run : (await sidecar.request("workflow/get", { runId: run.rootRunId })).run;
    return { name: root.label ?? root.name, isAttended: attended.has(root.runId) };
  } catch {
    return { name: "A workflow", isAttended: false };
  }
}

async function hasScripts(): Promise<boolean> {
  const found = await vscode.workspace.findFiles("**/.sidestep/workflows/*.py", "**/node_modules/**", 1);
  return (
    found.length > 0 ||
    vscode.workspace.textDocuments.some(({ uri }) => /[\\/]sidestep[\\/]workflows[\\/][^\\/]+\.py$/.test(uri.fsPath))
  );
}
