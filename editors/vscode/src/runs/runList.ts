/**
 * The runs of this window's folders: what the tree and the status bar show.
 *
 * Read from the server a page at a time and kept up by what it tells. Each folder has a cursor of its own, for a list
 * is of one folder or of all there are.
 */
import type { ListParams, RunSummary, StatusChangedNotification } from "../../../../protocol/schema/sidestep";
import type { Wire } from "../feed/wire";
import { isActive } from "./status";

const PAGE = 30;

export interface RunFilter {
  /** Part of name or label; empty for all. */
  readonly text: string;
  /** Statuses to show; empty for all. */
  readonly statuses: readonly NonNullable<ListParams["status"]>[number][];
}

export const NO_FILTER: RunFilter = { text: "", statuses: [] };

export class RunList {
  private readonly runs = new Map<string, RunSummary>();
  /** Runs that were told of since the list was asked for: it may have been read before that, and come later. */
  private readonly news = new Map<string, RunSummary>();
  /** Folder to the cursor of its next page; a folder whose last page was read has none. */
  private cursors = new Map<string, string>();
  private filter = NO_FILTER;
  private generation = 0;
  private isRead = false;
  private readonly listeners = new Set<() => void>();

  constructor(
    private readonly wire: Wire,
    /** The open folders' URIs; with none the runs of all folders are shown. */
    private readonly folders: () => readonly string[],
  ) {
    wire.onNotification("workflow/statusChanged", (change) => this.changed(change));
    wire.onNotification("workflow/deleted", ({ runId }) => this.deleted(runId));
  }

  onDidChange(listener: () => void): { dispose(): void } {
    this.listeners.add(listener);
    return { dispose: () => this.listeners.delete(listener) };
  }

  /** Active ones first, then the others, the newest first in both. */
  get sorted(): RunSummary[] {
    const newest = [...this.runs.values()].filter((run) => this.shows(run)).sort(byAge);
    return [...newest.filter((run) => isActive(run.status)), ...newest.filter((run) => !isActive(run.status))];
  }

  /** Whatever the filter says. */
  get active(): RunSummary[] {
    return [...this.runs.values()].filter((run) => isActive(run.status)).sort(byAge);
  }

  get hasMore(): boolean {
    return this.cursors.size > 0;
  }

  get filtered(): RunFilter {
    return this.filter;
  }

  get(runId: string): RunSummary | undefined {
    return this.runs.get(runId);
  }

  /** Reads the first page again: after a reconnect, another filter, other folders. */
  async reload(filter: RunFilter = this.filter): Promise<void> {
    const generation = ++this.generation;
    this.filter = filter;
    this.news.clear();
    const folders = this.folders().length > 0 ? this.folders() : [""];
    const pages = await Promise.all(
      folders.flatMap((folder) => [
        // Active runs are shown however old they are.
        this.page(folder, { status: ["active"], limit: 100 }),
        this.page(folder, this.query()),
      ]),
    );
    if (generation !== this.generation) return;
    this.isRead = true;
    this.runs.clear();
    this.cursors = new Map();
    pages.forEach(({ runs, nextCursor }, index) => {
      for (const run of runs) this.runs.set(run.runId, run);
      const folder = folders[Math.floor(index / 2)];
      if (index % 2 === 1 && nextCursor !== null && folder !== undefined) this.cursors.set(folder, nextCursor);
    });
    for (const run of this.news.values()) this.take(run);
    this.tell();
  }

  /** Reads the list unless it was read before. */
  async ready(): Promise<void> {
    if (!this.isRead) await this.reload();
  }

  /** The next page of each folder that has one. */
  async loadMore(): Promise<void> {
    const generation = this.generation;
    await Promise.all(
      [...this.cursors].map(async ([folder, cursor]) => {
        const { runs, nextCursor } = await this.page(folder, { ...this.query(), cursor });
        if (generation !== this.generation) return;
        for (const run of runs) this.take(run);
        if (nextCursor === null) this.cursors.delete(folder);
        else this.cursors.set(folder, nextCursor);
      }),
    );
    this.tell();
  }

  private query(): ListParams {
    const { text, statuses } = this.filter;
    return { limit: PAGE, ...(text ? { text } : {}), ...(statuses.length > 0 ? { status: [...statuses] } : {}) };
  }

  private page(folder: string, params: ListParams) {
    return this.wire.request("workflow/list", { ...params, ...(folder ? { workspaceFolder: folder } : {}) });
  }

  private changed(change: StatusChangedNotification): void {
    const known = this.runs.get(change.runId);
    if (!known) return void this.fetch(change.runId);
    if (change.sequence < known.sequence) return;
    const { status, reason, sequence, at, attention, summary } = change;
    const { steps, pending, phase } = summary;
    const endedAt = isActive(status) ? undefined : (known.endedAt ?? at);
    const run = { ...known, status, reason, sequence, updatedAt: at, attention, steps, pending, phase, endedAt };
    this.news.set(run.runId, run);
    this.take(run);
    this.tell();
  }

  private async fetch(runId: string): Promise<void> {
    try {
      const { run } = await this.wire.request("workflow/get", { runId });
      if (run.parentRunId) return;
      this.take(run);
      this.news.set(runId, this.runs.get(runId) ?? run);
      this.tell();
    } catch {
      // Deleted meanwhile, or the server is gone: then everything is read again.
    }
  }

  /** Unless something newer is known. */
  private take(run: RunSummary): void {
    const known = this.runs.get(run.runId);
    if (!known || known.sequence <= run.sequence) this.runs.set(run.runId, run);
  }

  private deleted(runId: string): void {
    this.news.delete(runId);
    if (this.runs.delete(runId)) this.tell();
  }

  private shows(run: RunSummary): boolean {
    const { text, statuses } = this.filter;
    const hasText = `${run.name}\n${run.label ?? ""}`.toLowerCase().includes(text.toLowerCase());
    const isWanted = (word: string): boolean => (word === "active" ? isActive(run.status) : word === run.status);
    return hasText && (statuses.length === 0 || statuses.some(isWanted));
  }

  private tell(): void {
    for (const listener of this.listeners) listener();
  }
}

function byAge(a: RunSummary, b: RunSummary): number {
  return a.createdAt < b.createdAt ? 1 : a.createdAt > b.createdAt ? -1 : a.runId < b.runId ? 1 : -1;
}
