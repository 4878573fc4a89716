/**
 * What a run's page knows: a pure reduction of the run's journal.
 *
 * `applyEvents` never changes the state it is given, and the same events give the same state however they were cut
 * into batches. Times are milliseconds since the epoch, as the server's clock has them. Knows no DOM and no VS Code.
 */
import type { ErrorInfo, Event, RunResult, Usage } from "../../../../../protocol/schema/sidestep";
import { isActive } from "../../runs/status";

/** One go at a step; `end` is absent while it runs. */
export interface Attempt {
  start: number;
  end?: number;
  status: StepState;
}

export type StepState = "running" | "completed" | "failed" | "interrupted";

export interface StepView {
  /** Identity in the page: step id and key. */
  id: string;
  stepId: string;
  kind: string;
  title: string;
  status: StepState;
  attempts: readonly Attempt[];
  /** Index into `RunState.phases`. */
  phase: number;
  /** Line of the script, 1-based. */
  line?: number;
  error?: ErrorInfo;
  usage?: Usage;
  childRunId?: string;
  /** What was said about it on the way: answers that did not fit, time limits. */
  notes: readonly string[];
  /** Its result came after the run had stopped, and was kept. */
  late: boolean;
  /** The execution of the run (0-based) that finished it; earlier than the present one means: kept, not repeated. */
  finishedIn?: number;
}

export interface PhaseView {
  /** Empty for what comes before the first phase. */
  name: string;
  details: string;
  at: number;
}

export interface LogLine {
  sequence: number;
  at: number;
  level: string;
  text: string;
}

/** From a claim of the run to its next stop; `end` is absent while it runs. */
export interface Execution {
  start: number;
  end?: number;
}

export interface RunState {
  /** Of the last event seen; as sequences have no gaps, also how many there were. */
  sequence: number;
  status: string;
  reason: string;
  executions: readonly Execution[];
  phases: readonly PhaseView[];
  /** By `StepView.id`, in the order the steps first started. */
  steps: ReadonlyMap<string, StepView>;
  logs: readonly LogLine[];
  result?: RunResult;
  error?: ErrorInfo;
  /** Absent until it changes; then what the run was started with holds. */
  attention?: string;
}

export const EMPTY: RunState = {
  sequence: 0,
  status: "pending",
  reason: "",
  executions: [],
  phases: [],
  steps: new Map(),
  logs: [],
};

/** The state after more events, in order. Events that were seen already are passed over. */
export function applyEvents(state: RunState, events: readonly Event[]): RunState {
  const fresh = events.filter((event) => event.sequence > state.sequence);
  if (fresh.length === 0) return state;
  // Copied once for a batch, so that a long run costs no more for each event than a short one.
  const draft: Draft = {
    ...state,
    executions: [...state.executions],
    phases: [...state.phases],
    steps: new Map(state.steps),
    logs: [...state.logs],
  };
  for (const event of fresh) {
    apply(draft, event);
    draft.sequence = event.sequence;
  }
  return draft;
}

/** RunState while it is being built; its collections are the draft's own, their items are shared and never changed. */
interface Draft extends RunState {
  executions: Execution[];
  phases: PhaseView[];
  steps: Map<string, StepView>;
  logs: LogLine[];
}

function apply(draft: Draft, event: Event): void {
  const at = Date.parse(event.at);
  switch (event.type) {
    case "status":
      return applyStatus(draft, event, at);
    case "phase":
      draft.phases.push({ name: event.name, details: details(event.details), at });
      return;
    case "log":
      draft.logs.push({ sequence: event.sequence, at, level: event.level ?? "info", text: logText(event) });
      return;
    case "step":
      return applyStep(draft, event, at);
    case "validation": {
      const problems = event.problems.map(({ path, message }) => (path ? `${path}: ${message}` : message));
      return note(draft, stepKey(event), `Answer ${event.attempt} did not fit: ${problems.join("; ")}`);
    }
    case "timeout": {
      const what = event.stage === "hard" ? "Stopped" : "Asked for what it has";
      return note(draft, stepKey(event), `${what} at the time limit of ${event.limitMs / 1000} s`);
    }
    case "child":
      for (const step of draft.steps.values()) {
        if (step.stepId === event.stepId && step.kind === "workflow" && step.status === "running") {
          draft.steps.set(step.id, { ...step, childRunId: event.childRunId });
        }
      }
      return;
    case "attention":
      draft.attention = event.attention;
      return;
    case "source":
      draft.logs.push({ sequence: event.sequence, at, level: "info", text: "Goes on with the edited script" });
      return;
    case "result":
      draft.result = event.result;
      return;
    case "error":
      draft.error = event.error;
      return;
    default:
      // A later version's event; its sequence counts all the same.
      return;
  }
}

function applyStatus(draft: Draft, event: Extract<Event, { type: "status" }>, at: number): void {
  draft.status = event.status;
  draft.reason = event.reason ?? "";
  const last = draft.executions.at(-1);
  const runs = last !== undefined && last.end === undefined;
  if (event.status === "running" || event.status === "backgrounded") {
    if (runs) return;
    draft.executions.push({ start: at });
    delete draft.error;
    delete draft.result;
  } else if (!isActive(event.status) && runs) {
    draft.executions[draft.executions.length - 1] = { ...last, end: at };
    // No step outlives its run; one that was under way has no event of its own for that.
    for (const step of draft.steps.values()) {
      if (step.status === "running") draft.steps.set(step.id, ended(step, "interrupted", at));
    }
  }
}

function applyStep(draft: Draft, event: Extract<Event, { type: "step" }>, at: number): void {
  const id = stepKey(event);
  const known = draft.steps.get(id);
  const step: StepView = known ?? {
    id,
    stepId: event.stepId,
    kind: event.kind,
    title: event.title ?? event.stepId,
    status: "running",
    attempts: [],
    phase: phaseOf(draft, event.phase, at),
    notes: [],
    late: false,
  };
  if (event.status === "queued") return;
  if (event.status === "started") {
    const { error: _, ...rest } = step;
    const line = event.line ?? step.line;
    const attempts = [...step.attempts, { start: at, status: "running" as const }];
    draft.steps.set(id, { ...rest, status: "running", attempts, ...(line === undefined ? {} : { line }) });
    return;
  }
  const status = stopOf(event.status);
  const open = step.status === "running" && step.attempts.length > 0;
  // The start is told with the next durable write, so the duration knows better when the work began.
  const start = event.durationMs === undefined ? at : at - event.durationMs;
  const begun = open || event.late === true ? step.attempts : [...step.attempts, { start, status: "running" as const }];
  const done = ended({ ...step, attempts: begun }, status, at, event.durationMs);
  draft.steps.set(id, {
    ...done,
    late: event.late === true,
    finishedIn: draft.executions.length - 1,
    ...(event.error === undefined ? {} : { error: event.error }),
    ...(event.usage === undefined ? {} : { usage: event.usage }),
  });
}

/** A later version's word for an end is taken for the mildest one. */
function stopOf(status: string): StepState {
  return status === "completed" || status === "failed" ? status : "interrupted";
}

/** The step with its last attempt ended. */
function ended(step: StepView, status: StepState, at: number, durationMs?: number): StepView {
  const attempts = [...step.attempts];
  const last = attempts.pop() ?? { start: at, status };
  const start = durationMs === undefined ? last.start : Math.min(last.start, at - durationMs);
  attempts.push({ start, end: Math.max(at, start), status });
  return { ...step, status, attempts };
}

/** The phase a new step belongs to: the newest of the name it says, else the present one. */
function phaseOf(draft: Draft, name: string | undefined, at: number): number {
  const wanted = name ?? "";
  for (let index = draft.phases.length - 1; index >= 0; index -= 1) {
    if (draft.phases[index]?.name === wanted) return index;
  }
  draft.phases.push({ name: wanted, details: "", at });
  return draft.phases.length - 1;
}

function note(draft: Draft, id: string, text: string): void {
  const step = draft.steps.get(id);
  if (step) draft.steps.set(id, { ...step, notes: [...step.notes, text] });
}

function stepKey(event: { stepId: string; key: string }): string {
  return `${event.stepId}\u0000${event.key}`;
}

function logText(event: Extract<Event, { type: "log" }>): string {
  const data = details(event.data);
  return data ? `${event.message}  (${data})` : event.message;
}

/** `round=1, part="a"`: what a script said beside a phase's or a log's words. */
function details(data: Record<string, unknown> | undefined): string {
  return Object.entries(data ?? {})
    .map(([name, value]) => `${name}=${typeof value === "string" ? value : JSON.stringify(value)}`)
    .join(", ");
}
