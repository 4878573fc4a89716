/** How far somebody has read a run's journal. */
import type { Event } from "../../../../protocol/schema/sidestep";

export class Cursor {
  /** The last sequence that was taken; 0 before the first. */
  last = 0;

  /**
   * Takes the events that follow directly; those that were taken already are passed over.
   *
   * Invariant: what is taken is gap-free and without duplicate, whatever comes in.
   */
  take(events: readonly Event[]): { readonly taken: Event[]; readonly hasGap: boolean } {
    const taken: Event[] = [];
    for (const event of events) {
      if (event.sequence <= this.last) continue;
      if (event.sequence !== this.last + 1) return { taken, hasGap: true };
      this.last = event.sequence;
      taken.push(event);
    }
    return { taken, hasGap: false };
  }
}
