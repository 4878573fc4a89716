/**
 * The run page: takes the extension's messages, reduces them to a state, and has the views draw it.
 *
 * Owns the state of the page and the order of things; views own their elements. Everything is drawn at most once for
 * each frame, and the clocks of an active run twice a second.
 */
import type { FromPage, PageState, ToPage } from "../pageMessages";
import type { Interaction, RunDetail } from "../runFeed";
import { isActive } from "../runs/status";
import { LiveOutput } from "./model/liveOutput";
import type { ButtonName } from "./model/runActions";
import { applyEvents, EMPTY, type RunState, type StepView } from "./model/runModel";
import { rowsOf, type Row } from "./model/rows";
import { timeAxis } from "./model/timeAxis";
import { element } from "./view/dom";
import { Header } from "./view/header";
import { LogView } from "./view/logView";
import { Questions } from "./view/questions";
import { Data, Report } from "./view/report";
import { StepDetail, type StepOutput } from "./view/stepDetail";
import { Tabs } from "./view/tabs";
import { Timeline } from "./view/timeline";

declare function acquireVsCodeApi(): {
  postMessage(message: FromPage): void;
  getState(): PageState | undefined;
  setState(state: PageState): void;
};

const TICK_MS = 500;

class Page {
  readonly #vscode = acquireVsCodeApi();
  readonly #runId = document.body.dataset["runId"] ?? "";
  readonly #runs = new Map<string, RunState>();
  readonly #live = new LiveOutput();
  readonly #outputs = new Map<string, StepOutput>();
  readonly #busy = new Set<string>();
  readonly #opened: Set<string>;
  readonly #drafts: Record<string, Record<string, string>>;
  #run: RunDetail | undefined;
  #pending: readonly Interaction[] = [];
  #connection = "";
  #scriptEdited = false;
  #deleted = false;
  /** The server's clock minus ours, in milliseconds. */
  #ahead = 0;
  #tab: string;
  /** A person chose the tab; until then the page shows what is newest. */
  #tabChosen: boolean;
  #selected: string;
  #rows: readonly Row[] = [];
  #drawing = false;

  readonly #header = new Header((name, line) => this.#act(name, line));
  readonly #questions = new Questions({
    answer: (interaction, answer) => {
      this.#busy.add(`answer ${interaction.interactionId}`);
      this.#send({ type: "answer", interactionId: interaction.interactionId, answer });
      this.#draw();
    },
    draft: (interactionId) => this.#drafts[interactionId] ?? {},
    keepDraft: (interactionId, typed) => {
      this.#drafts[interactionId] = typed;
      this.#keep();
    },
  });
  readonly #timeline = new Timeline({
    select: (row) => this.#select(row.kind === "step" && row.id !== this.#selected ? row.id : ""),
    expand: (childRunId, expanded) => this.#expand(childRunId, expanded),
  });
  readonly #detail = new StepDetail({
    openScript: (runId, line) => this.#send({ type: "openScript", runId, line }),
    openRun: (runId) => this.#send({ type: "openRun", runId }),
    close: () => this.#select(""),
  });
  readonly #log = new LogView();
  readonly #report = new Report();
  readonly #data = new Data();
  readonly #tabs: Tabs;

  constructor() {
    const state = this.#vscode.getState();
    this.#tab = state?.tab ?? "timeline";
    this.#tabChosen = state?.tab !== undefined;
    this.#selected = state?.selected ?? "";
    this.#opened = new Set(state?.opened);
    this.#drafts = state?.drafts ?? {};
    const timeline = element("div", { class: "panes" }, this.#timeline.root, this.#detail.root);
    const panels = new Map([
      ["timeline", timeline],
      ["log", this.#log.root],
      ["report", this.#report.root],
      ["data", this.#data.root],
    ]);
    this.#tabs = new Tabs(panels, (name) => {
      this.#tab = name;
      this.#tabChosen = true;
      this.#keep();
      this.#drawNow();
    });
    document.getElementById("page")?.append(this.#header.root, this.#questions.root, this.#tabs.root);
    window.addEventListener("message", (event: MessageEvent<ToPage>) => this.#receive(event.data));
    setInterval(() => this.#run && isActive(this.#state().status) && this.#draw(), TICK_MS);
    this.#keep();
    this.#send({ type: "ready" });
    for (const child of this.#opened) this.#send({ type: "follow", runId: child });
  }

  #receive(message: ToPage): void {
    switch (message.type) {
      case "run":
        this.#ahead = message.serverNow - Date.now();
        if (message.runId !== this.#runId) break;
        this.#run = message.run;
        this.#pending = message.pending;
        break;
      case "events":
        this.#runs.set(message.runId, applyEvents(this.#runs.get(message.runId) ?? EMPTY, message.events));
        break;
      case "reset":
        this.#runs.delete(message.runId);
        break;
      case "output":
        this.#live.add(`${message.runId} ${message.stepId}`, message.text, message.droppedBytes);
        break;
      case "connection":
        this.#connection =
          message.state === "connected"
            ? ""
            : (message.message ?? (message.state === "stopped" ? "The server is stopped." : "Reconnecting …"));
        break;
      case "deleted":
        this.#deleted ||= message.runId === this.#runId;
        break;
      case "scriptEdited":
        this.#scriptEdited = message.edited;
        break;
      case "done":
        this.#busy.delete(message.action);
        break;
      case "stepOutput":
        this.#outputs.set(message.id, { output: message.output, message: message.message });
        break;
    }
    this.#draw();
  }

  #act(name: ButtonName, line?: number): void {
    this.#busy.add(name);
    if (name === "openScript") this.#send({ type: name, runId: this.#runId, line });
    else this.#send({ type: name });
    this.#draw();
  }

  #select(id: string): void {
    this.#selected = id;
    this.#keep();
    this.#draw();
  }

  #expand(childRunId: string, expanded: boolean): void {
    if (expanded) this.#opened.add(childRunId);
    else {
      this.#opened.delete(childRunId);
      this.#runs.delete(childRunId);
    }
    this.#send({ type: expanded ? "follow" : "unfollow", runId: childRunId });
    this.#keep();
    this.#draw();
  }

  #state(): RunState {
    return this.#runs.get(this.#runId) ?? EMPTY;
  }

  #draw(): void {
    if (this.#drawing) return;
    this.#drawing = true;
    requestAnimationFrame(() => this.#drawNow());
  }

  #drawNow(): void {
    this.#drawing = false;
    const run = this.#run;
    if (!run) return;
    // The journal is the truth; until it has come this far, the summary knows more.
    const journal = this.#state();
    const state = journal.sequence > 0 ? journal : { ...EMPTY, status: run.status, reason: run.reason ?? "" };
    const now = Date.now() + this.#ahead;
    this.#header.update({
      run,
      state,
      activeMs: timeAxis(state.executions, now).activeMs,
      scriptEdited: this.#scriptEdited,
      connection: this.#deleted ? "This run was deleted." : this.#connection,
      busy: this.#busy,
    });
    document.body.dataset["sequence"] = String(state.sequence);
    this.#questions.update(this.#deleted ? [] : this.#pending, this.#busy);
    this.#rows = rowsOf(this.#runId, this.#runs, this.#opened);
    this.#drawTabs(state, run);
    if (this.#tab === "timeline") {
      this.#timeline.update(this.#rows, state, now, this.#selected);
      this.#drawDetail();
    } else if (this.#tab === "log") this.#log.update(state.logs);
    else if (this.#tab === "report") this.#report.update(state.result ?? run.result);
    else this.#data.update(state.result ?? run.result, run.args);
  }

  #drawTabs(state: RunState, run: RunDetail): void {
    if (!this.#tabChosen) this.#tab = (state.result ?? run.result)?.report ? "report" : "timeline";
    this.#tabs.label("timeline", `Timeline (${state.steps.size})`);
    this.#tabs.label("log", `Log (${state.logs.length})`);
    this.#tabs.label("report", "Report");
    this.#tabs.label("data", "Data");
    this.#tabs.show(this.#tab);
  }

  #drawDetail(): void {
    const row = this.#rows.find((each) => each.id === this.#selected);
    if (row?.kind !== "step") return this.#detail.update("", undefined, "", undefined);
    const { step, runId } = row;
    const asked = this.#outputKey(runId, step);
    if (step.status === "completed" && !this.#outputs.has(asked)) {
      this.#outputs.set(asked, {});
      const [stepId = "", key = ""] = step.id.split("\u0000");
      this.#send({ type: "stepOutput", runId, id: asked, stepId, key });
    }
    const made = step.status === "completed" ? this.#outputs.get(asked) : undefined;
    this.#detail.update(runId, step, this.#live.of(`${runId} ${step.stepId}`), made);
  }

  #outputKey(runId: string, step: StepView): string {
    return `${runId} ${step.id} ${step.attempts.length}`;
  }

  #keep(): void {
    this.#vscode.setState({
      runId: this.#runId,
      tab: this.#tabChosen ? this.#tab : undefined,
      selected: this.#selected,
      opened: [...this.#opened],
      drafts: this.#drafts,
    });
  }

  #send(message: FromPage): void {
    this.#vscode.postMessage(message);
  }
}

new Page();
