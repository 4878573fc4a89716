/** Journals for tests, written as a server writes them: events a second apart, numbered from 1. */
import type { Event } from "../../../../../protocol/schema/sidestep";

export const START = Date.parse("2026-01-31T09:00:00.000Z");

/** An event but for its sequence and time; `after` is seconds since the journal's start, else one after the last. */
export type Told = { type: string; after?: number } & Record<string, unknown>;

export function journal(...told: Told[]): Event[] {
  let seconds = 0;
  return told.map(({ after, ...event }, index) => {
    seconds = after ?? seconds + 1;
    return { ...event, sequence: index + 1, at: new Date(START + seconds * 1000).toISOString() } as Event;
  });
}

export const running: Told = { type: "status", status: "running", previous: "pending", after: 0 };

export function step(stepId: string, status: string, more: Record<string, unknown> = {}): Told {
  return { type: "step", stepId, kind: "command", key: "k", status, attempt: 1, ...more };
}

export function stopped(status: string, more: Record<string, unknown> = {}): Told {
  return { type: "status", status, previous: "running", ...more };
}

/** Fails when anything writes to it. */
export function frozen<T>(value: T): T {
  if (typeof value === "object" && value !== null && !Object.isFrozen(value)) {
    Object.freeze(value);
    const inside = value instanceof Map ? [...value.values()] : Object.values(value);
    inside.forEach(frozen);
  }
  return value;
}
