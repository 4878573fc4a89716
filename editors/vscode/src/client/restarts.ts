/** When a server that died is started again by itself, and when a person is asked first. */

const RESTARTS_MAX = 5;
/** Deaths further apart than this do not belong together. */
const WITHIN_MS = 3 * 60_000;
const PAUSE_MS_MAX = 4_000;

export class Restarts {
  private deaths: number[] = [];

  /** The pause in milliseconds before the next start, or "ask" after five restarts within three minutes. */
  died(nowMs: number): number | "ask" {
    this.deaths = [...this.deaths.filter((at) => nowMs - at < WITHIN_MS), nowMs];
    const count = this.deaths.length;
    if (count > RESTARTS_MAX) return "ask";
    return count === 1 ? 0 : Math.min(PAUSE_MS_MAX, 250 * 2 ** (count - 1));
  }

  /** A person wants it: what was before does not count. */
  forget(): void {
    this.deaths = [];
  }
}
