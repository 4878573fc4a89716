/**
 * What the run page (a webview) and the extension say to each other. Both sides import it; it has no code.
 *
 * A page says `ready` each time it is loaded, also when it is shown again after it was hidden, and then gets everything
 * from the journal's first event. It holds nothing that the journal does not, save what a person has typed or opened,
 * which it keeps in the webview's own state (PageState).
 */
import type { ConnectionState, Event, Interaction, RunDetail } from "./runFeed";

/** Of the page's own run, or of a child it asked for. */
export type ToPage =
  | { type: "run"; runId: string; run: RunDetail; pending: readonly Interaction[]; serverNow: number }
  | { type: "events"; runId: string; events: readonly Event[] }
  /** Forget the run's events; they come again from the first one. */
  | { type: "reset"; runId: string }
  | { type: "output"; runId: string; stepId: string; text: string; droppedBytes: number }
  | { type: "connection"; state: ConnectionState; message?: string }
  | { type: "deleted"; runId: string }
  /** Whether the script's file differs from what the run was made with. */
  | { type: "scriptEdited"; edited: boolean }
  /** An action has ended, well or not; its button may be pressed again. */
  | { type: "done"; action: string }
  /** What a step made: `output` when the server has it at hand, else `outputUri` or a message for people. */
  | { type: "stepOutput"; runId: string; id: string; output?: unknown; message?: string };

export type FromPage =
  | { type: "ready" }
  | { type: "interrupt" | "background" | "rerun" | "continue" | "continueEdited" }
  | { type: "answer"; interactionId: string; answer: unknown }
  | { type: "openScript"; runId: string; line?: number }
  | { type: "openRun"; runId: string }
  /** Tell a child run's events too, from its first one. */
  | { type: "follow"; runId: string }
  | { type: "unfollow"; runId: string }
  | { type: "stepOutput"; runId: string; id: string; stepId: string; key: string };

/** What survives a reload of the window. */
export interface PageState {
  runId: string;
  tab?: string;
  /** Row that is selected in the timeline. */
  selected?: string;
  /** Child runs that are shown. */
  opened?: string[];
  /** What was typed into open questions: by interaction, by field. */
  drafts?: Record<string, Record<string, string>>;
}
