/**
 * Where a moment stands on the timeline: the time in which the run was active, laid end to end.
 *
 * A run that was stopped overnight would be two slivers on a clock; here the hours between two executions are a gap
 * of fixed width. Pure.
 */
import type { Execution } from "./runModel";

/** Share of the whole width that one gap takes. */
const GAP = 0.02;
const GAPS_TOGETHER_MAX = 0.3;

export interface TimeAxis {
  /** Milliseconds the run was active. */
  activeMs: number;
  /** 0 to 1 for a moment; moments outside are moved to the nearest edge. */
  position(at: number): number;
  /** Middles of the gaps, 0 to 1. */
  gaps: readonly number[];
}

export function timeAxis(executions: readonly Execution[], now: number): TimeAxis {
  const spans = executions.map(({ start, end }) => ({ start, end: Math.max(start, end ?? now) }));
  const activeMs = spans.reduce((sum, span) => sum + span.end - span.start, 0);
  const gap = spans.length > 1 ? Math.min(GAP, GAPS_TOGETHER_MAX / (spans.length - 1)) : 0;
  const scale = activeMs > 0 ? (1 - gap * (spans.length - 1)) / activeMs : 0;
  const placed: { start: number; end: number; left: number }[] = [];
  let left = 0;
  for (const span of spans) {
    placed.push({ ...span, left });
    left += (span.end - span.start) * scale + gap;
  }
  return {
    activeMs,
    gaps: placed.slice(1).map((span) => span.left - gap / 2),
    position(at) {
      const span = placed.find(({ end }) => at <= end) ?? placed.at(-1);
      if (!span) return 0;
      const inside = Math.min(Math.max(at, span.start), span.end) - span.start;
      return Math.min(1, span.left + inside * scale);
    },
  };
}

/** A bar from one moment to another, as shares of the whole width. */
export function bar(axis: TimeAxis, start: number, end: number): { left: number; width: number } {
  const left = axis.position(start);
  return { left, width: Math.max(0, axis.position(end) - left) };
}
