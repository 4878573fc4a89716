/** Words about statuses, in one place. Unknown ones, of a newer server, are passed through. */
import type { RunStatus } from "../../../../protocol/schema/sidestep";

const ACTIVE: ReadonlySet<string> = new Set(["pending", "running", "backgrounded"]);

export function isActive(status: RunStatus): boolean {
  return ACTIVE.has(status);
}

export function isTerminal(status: RunStatus): boolean {
  return status === "completed" || status === "failed";
}

const REASONS: Readonly<Record<string, string>> = {
  user: "by you",
  cancelled: "cancelled",
  clientGone: "the window was closed",
  shutdown: "the server was stopped",
  crash: "the server died",
  deadline: "its time was up",
  parent: "with its parent",
};

/** `interrupted (the server died)`. */
export function statusText(status: RunStatus, reason?: string): string {
  if (status === "backgrounded") return "running in the background";
  if (status !== "interrupted" || !reason) return status;
  return `interrupted (${REASONS[reason] ?? reason})`;
}

/** The codicon of a run's status. */
export function runIcon(status: RunStatus, pending: number): { readonly icon: string; readonly color?: string } {
  if (pending > 0 && isActive(status)) return { icon: "question", color: "charts.yellow" };
  if (status === "pending") return { icon: "circle-outline" };
  if (isActive(status)) return { icon: "sync~spin", color: "charts.blue" };
  if (status === "completed") return { icon: "pass", color: "charts.green" };
  if (status === "failed") return { icon: "error", color: "charts.red" };
  return { icon: "debug-pause", color: "charts.orange" };
}

/** The codicon of a step; a kept one has a mark of its own. */
export function stepIcon(status: string, isReused: boolean): { readonly icon: string; readonly color?: string } {
  if (isReused) return { icon: "history", color: "charts.green" };
  if (status === "completed") return { icon: "check", color: "charts.green" };
  if (status === "failed") return { icon: "error", color: "charts.red" };
  if (status === "interrupted") return { icon: "debug-pause", color: "charts.orange" };
  return status === "queued" ? { icon: "circle-outline" } : { icon: "sync~spin", color: "charts.blue" };
}
