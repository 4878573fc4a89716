/** What stands in the tree below a run: phases in their order, their steps, and what each row says. */
import type { RunSummary, StepSummary } from "../../../../protocol/schema/sidestep";
import { ageText, durationText, elapsed } from "./durations";
import { isActive, statusText } from "./status";

export interface PhaseGroup {
  /** Empty for steps before the first phase. */
  readonly name: string;
  readonly steps: readonly StepSummary[];
}

/** Steps by phase, phases in the order of their first steps. */
export function phasesOf(steps: readonly StepSummary[]): PhaseGroup[] {
  const groups = new Map<string, StepSummary[]>();
  for (const step of steps) {
    const name = step.phase ?? "";
    const group = groups.get(name);
    if (group) group.push(step);
    else groups.set(name, [step]);
  }
  return [...groups].map(([name, members]) => ({ name, steps: members }));
}

/** Beside the run's name: `running · 3 of 5 steps · read the history`. Kept steps count among the completed ones. */
export function runDescription(run: RunSummary, nowMs: number): string {
  const { completed, failed, running } = run.steps;
  const parts = [statusText(run.status, run.reason)];
  const total = completed + failed + running;
  if (total > 0) parts.push(`${completed} of ${total} steps`);
  if (run.pending > 0) parts.push(run.pending === 1 ? "a question" : `${run.pending} questions`);
  if (isActive(run.status)) {
    if (run.phase) parts.push(run.phase);
  } else {
    parts.push(durationText(elapsed(run.createdAt, run.endedAt ?? run.updatedAt, nowMs)));
    parts.push(ageText(nowMs - Date.parse(run.endedAt ?? run.updatedAt)));
  }
  return parts.join(" · ");
}

/** Beside the step's name: `kept · 0.3 s`, `failed after 2 attempts`. */
export function stepDescription(step: StepSummary, nowMs: number): string {
  const parts: string[] = [];
  if (step.reused) parts.push("kept");
  else if (step.status !== "completed" && step.status !== "started") parts.push(step.status);
  if (step.status === "started") parts.push("running");
  parts.push(durationText(elapsed(step.startedAt, step.endedAt, nowMs)));
  if (step.attempt > 1) parts.push(`attempt ${step.attempt}`);
  return parts.join(" · ");
}

/** Beside the phase's name: `3 of 5`. */
export function phaseDescription(group: PhaseGroup): string {
  const done = group.steps.filter((step) => step.status === "completed").length;
  return `${done} of ${group.steps.length}`;
}

/** The label of a step for people: its title, or its id. */
export function stepLabel(step: StepSummary): string {
  return step.title || step.stepId;
}
