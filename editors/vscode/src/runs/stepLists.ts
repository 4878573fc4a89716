/**
 * The steps of the runs that are open in the tree, a page at a time.
 *
 * An active run is followed while its steps are shown, and read again at most twice a second; a page that was read
 * once is read again with the others, so that nothing on the screen is old.
 */
import type { StepSummary } from "../../../../protocol/schema/sidestep";
import type { RunFeed } from "../runFeed";
import type { Timers } from "../feed/follower";

const PAGE = 200;
const REREAD_MS = 500;

interface Shown {
  pages: number;
  list: { readonly steps: readonly StepSummary[]; readonly hasMore: boolean };
  /** The journal moved on since the list was read. */
  isStale: boolean;
  isReading: boolean;
  following: { dispose(): void };
}

export class StepLists {
  private readonly shown = new Map<string, Shown>();
  private readonly listeners: ((runId: string) => void)[] = [];

  constructor(
    private readonly feed: Pick<RunFeed, "request"> & {
      follow(...of: Parameters<RunFeed["follow"]>): { dispose(): void };
    },
    private readonly timers: Timers,
  ) {}

  onDidChange(listener: (runId: string) => void): void {
    this.listeners.push(listener);
  }

  /** The steps of a run; read when they are asked for the first time, and kept up until they are forgotten. */
  async of(runId: string): Promise<Shown["list"]> {
    const known = this.shown.get(runId);
    if (known) return known.list;
    const list = await this.read(runId, 1);
    if (this.shown.has(runId)) return list;
    const shown: Shown = { pages: 1, list, isStale: false, isReading: false, following: { dispose: () => undefined } };
    this.shown.set(runId, shown);
    const moved = (): void => this.moved(runId, shown);
    shown.following = this.feed.follow(runId, {
      run: moved,
      events: moved,
      reset: moved,
      output: () => undefined,
      connection: () => undefined,
      deleted: () => this.forget(runId),
    });
    return list;
  }

  async loadMore(runId: string): Promise<void> {
    const shown = this.shown.get(runId);
    if (!shown) return;
    shown.pages += 1;
    shown.list = await this.read(runId, shown.pages);
    this.tell(runId);
  }

  /** The run's rows were closed. */
  forget(runId: string): void {
    this.shown.get(runId)?.following.dispose();
    this.shown.delete(runId);
  }

  private moved(runId: string, shown: Shown): void {
    shown.isStale = true;
    if (shown.isReading) return;
    shown.isReading = true;
    this.timers.after(REREAD_MS, () => void this.reread(runId, shown));
  }

  private async reread(runId: string, shown: Shown): Promise<void> {
    shown.isStale = false;
    try {
      const list = await this.read(runId, shown.pages);
      if (this.shown.get(runId) !== shown) return;
      shown.list = list;
      this.tell(runId);
    } catch {
      // No server now: the next one tells that the journal moved.
    } finally {
      shown.isReading = false;
    }
    if (shown.isStale) this.moved(runId, shown);
  }

  private async read(runId: string, pages: number): Promise<Shown["list"]> {
    const steps: StepSummary[] = [];
    let cursor: string | null | undefined;
    for (let page = 0; page < pages && cursor !== null; page += 1) {
      const read = await this.feed.request("workflow/steps", { runId, limit: PAGE, ...(cursor ? { cursor } : {}) });
      steps.push(...read.steps);
      cursor = read.nextCursor;
    }
    return { steps, hasMore: cursor !== null };
  }

  private tell(runId: string): void {
    for (const listener of this.listeners) listener(runId);
  }
}
