/**
 * The timeline as a flat list of rows: phases, their steps, and below an opened workflow step its child's. Pure.
 */
import type { PhaseView, RunState, StepView } from "./runModel";

export type Row =
  | { kind: "phase"; id: string; level: number; phase: PhaseView; steps: number; failed: number; running: number }
  /** `kept`: done before the run was continued, and not repeated. */
  | { kind: "step"; id: string; level: number; step: StepView; runId: string; kept: boolean; expanded?: boolean }
  | { kind: "waiting"; id: string; level: number };

/** How deep children are shown; a server nests no deeper. */
const LEVELS_MAX = 8;

/**
 * @param runs The states there are, by run id: the page's own run and the children that were opened.
 * @param opened Ids of the child runs that are shown.
 */
export function rowsOf(runId: string, runs: ReadonlyMap<string, RunState>, opened: ReadonlySet<string>): Row[] {
  const rows: Row[] = [];
  add(rows, runId, runs, opened, 1);
  return rows;
}

function add(
  rows: Row[],
  runId: string,
  runs: ReadonlyMap<string, RunState>,
  opened: ReadonlySet<string>,
  level: number,
): void {
  const state = runs.get(runId);
  if (!state || level > LEVELS_MAX) {
    rows.push({ kind: "waiting", id: `${runId} waiting`, level });
    return;
  }
  const present = state.executions.length - 1;
  const byPhase: StepView[][] = state.phases.map(() => []);
  for (const step of state.steps.values()) byPhase[step.phase]?.push(step);
  state.phases.forEach((phase, index) => {
    const steps = byPhase[index] ?? [];
    if (phase.name) {
      const failed = steps.filter((step) => step.status === "failed").length;
      const running = steps.filter((step) => step.status === "running").length;
      const id = `${runId} phase ${index}`;
      rows.push({ kind: "phase", id, level, phase, steps: steps.length, failed, running });
    }
    const below = phase.name ? level + 1 : level;
    for (const step of steps) {
      const child = step.childRunId;
      const expanded = child === undefined ? undefined : opened.has(child);
      const kept = step.status === "completed" && (step.finishedIn ?? present) < present;
      rows.push({ kind: "step", id: `${runId} ${step.id}`, level: below, step, runId, kept, expanded });
      if (child !== undefined && expanded) add(rows, child, runs, opened, below + 1);
    }
  });
}
