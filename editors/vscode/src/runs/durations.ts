/** Durations and ages for people. */

/** `0.3 s`, `12 s`, `3 min 5 s`, `2 h 4 min`. */
export function durationText(milliseconds: number): string {
  const seconds = Math.max(0, milliseconds) / 1000;
  if (seconds < 9.95) return `${seconds.toFixed(1)} s`;
  const whole = Math.round(seconds);
  if (whole < 60) return `${whole} s`;
  const minutes = Math.floor(whole / 60);
  if (minutes < 60) return `${minutes} min ${whole % 60} s`;
  return `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

/** `now`, `5 min ago`, `3 h ago`, `2 days ago`. */
export function ageText(milliseconds: number): string {
  const minutes = Math.floor(Math.max(0, milliseconds) / 60_000);
  if (minutes < 1) return "now";
  if (minutes < 60) return `${minutes} min ago`;
  const hours = Math.floor(minutes / 60);
  if (hours < 24) return `${hours} h ago`;
  const days = Math.floor(hours / 24);
  return days === 1 ? "yesterday" : `${days} days ago`;
}

/** Milliseconds between two times of the wire; `end` is missing while it goes on. */
export function elapsed(start: string, end: string | undefined, nowMs: number): number {
  return (end ? Date.parse(end) : nowMs) - Date.parse(start);
}
