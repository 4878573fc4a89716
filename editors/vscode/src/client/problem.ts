/** What the server refused, taken apart by its stable word; never by the message, which is for people. */
import type { ErrorReason } from "../../../../protocol/schema/sidestep";

export interface Refusal {
  readonly reason: ErrorReason | "connection" | (string & {});
  readonly message: string;
  readonly data: Readonly<Record<string, unknown>>;
}

/** With these the JSON-RPC library rejects what is in flight when a connection ends; its words are for nobody. */
const LOST: ReadonlySet<number> = new Set([-32097, -32096]);

/** `connection`: there was no server, or it ended before it answered. */
export function refusalOf(error: unknown): Refusal {
  const { data, message, code } = (typeof error === "object" && error !== null ? error : {}) as {
    data?: unknown;
    message?: unknown;
    code?: unknown;
  };
  const details = (typeof data === "object" && data !== null ? data : {}) as Record<string, unknown>;
  const text = typeof message === "string" && message ? message : String(error);
  if (typeof details.reason === "string") return { reason: details.reason, message: text, data: details };
  if (code === -32800) return { reason: "requestCancelled", message: text, data: details };
  const isLost = typeof code === "number" && LOST.has(code);
  return { reason: "connection", message: isLost ? "the server ended before it answered" : text, data: details };
}
