/** What the status bar says: how many runs are active, whether one asks, whether there is a server. */
import type { SidecarState } from "../client/sidecar";

export interface StatusText {
  readonly text: string;
  readonly tooltip: string;
  readonly isWarning: boolean;
}

/** Undefined when there is nothing to say. */
export function statusText(
  state: SidecarState,
  active: readonly { readonly pending: number }[],
): StatusText | undefined {
  if (state.kind === "stopped" && state.problem) {
    return { text: "$(warning) Sidestep", tooltip: state.problem, isWarning: true };
  }
  if (state.kind === "restarting")
    return { text: "$(sync~spin) Sidestep", tooltip: "The server is being restarted", isWarning: false };
  const questions = active.reduce((sum, run) => sum + run.pending, 0);
  if (active.length === 0) return undefined;
  const runs = active.length === 1 ? "1 run" : `${active.length} runs`;
  if (questions === 0) return { text: `$(sync~spin) ${runs}`, tooltip: `Sidestep: ${runs} active`, isWarning: false };
  const asked = questions === 1 ? "1 question" : `${questions} questions`;
  return { text: `$(question) ${runs}`, tooltip: `Sidestep: ${runs} active, ${asked} to answer`, isWarning: true };
}
