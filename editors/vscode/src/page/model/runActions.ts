/** Which buttons a run has now. Pure. */
import type { RunDetail } from "../../../../../protocol/schema/sidestep";
import { isActive } from "../../runs/status";
import type { RunState } from "./runModel";

export type ButtonName = "interrupt" | "background" | "continue" | "continueEdited" | "rerun" | "openScript";

export interface Button {
  name: ButtonName;
  label: string;
  title: string;
  primary?: boolean;
}

/** Left to right. A child run is conducted with its root, so it has fewer. */
export function buttonsOf(run: RunDetail, state: RunState, scriptEdited: boolean): Button[] {
  const buttons: Button[] = [];
  const child = run.parentRunId !== undefined;
  if (isActive(state.status)) {
    const what = child ? "the whole run this belongs to" : "the run";
    buttons.push({ name: "interrupt", label: "Interrupt", title: `Stop ${what}; it can be continued`, primary: true });
    const attention = state.attention ?? run.attention;
    if (!child && state.status === "running" && attention === "blocking") {
      const title = "Let nobody wait for it; a message tells when it has ended";
      buttons.push({ name: "background", label: "Background", title });
    }
  } else if (!child) {
    if (state.status === "interrupted" || state.status === "failed") buttons.push(...goOn(state, scriptEdited));
    const title = "Start a new run of the script with the same arguments";
    buttons.push({ name: "rerun", label: "Run Again", title });
  }
  buttons.push({ name: "openScript", label: "Open Script", title: "Open the script of this run" });
  return buttons;
}

function goOn(state: RunState, scriptEdited: boolean): Button[] {
  const kept = [...state.steps.values()].filter((step) => step.status === "completed").length;
  const keeps = kept === 0 ? "" : `; ${kept} finished ${kept === 1 ? "step is" : "steps are"} kept`;
  const edited: Button = {
    name: "continueEdited",
    label: "Continue with the Edited Script",
    title: `Go on with the script as it is now${keeps}`,
    primary: true,
  };
  const title = state.status === "failed" ? `Do the failed steps again${keeps}` : `Go on where it stopped${keeps}`;
  const same: Button = { name: "continue", label: "Continue", title, primary: !scriptEdited };
  // What the script itself did wrong it would do again.
  const scriptFailed = state.status === "failed" && state.error?.code === "script";
  if (scriptEdited) return scriptFailed ? [edited] : [edited, same];
  return scriptFailed ? [] : [same];
}

/** What a person should know about going on, when no button says it. */
export function hintOf(state: RunState, scriptEdited: boolean): string {
  if (state.status !== "failed" || state.error?.code !== "script" || scriptEdited) return "";
  return "Mend the script and save it; then the run can continue with it, and its finished steps are kept.";
}
