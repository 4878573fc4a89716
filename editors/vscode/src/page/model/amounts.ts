/** Durations and amounts as the page says them. Pure. */
import type { Usage } from "../../../../../protocol/schema/sidestep";
import { durationText } from "../../runs/durations";

/** `230 ms`, else as the rest of the extension says it. */
export function duration(ms: number): string {
  return ms < 950 ? `${Math.max(0, Math.round(ms))} ms` : durationText(ms);
}

/** `1,203 tokens, $0.018`; empty when nothing is known. */
export function usageText(usage: Usage | undefined): string {
  const parts = [];
  const tokens = usage ? usage.inputTokens + usage.outputTokens : 0;
  if (tokens > 0) parts.push(`${tokens.toLocaleString("en")} tokens`);
  if (usage && usage.costUsd > 0) parts.push(`$${usage.costUsd.toFixed(usage.costUsd < 1 ? 3 : 2)}`);
  return parts.join(", ");
}

/** `1 step`, `2,000 steps`. */
export function count(number: number, one: string, many = `${one}s`): string {
  return `${number.toLocaleString("en")} ${number === 1 ? one : many}`;
}
