/**
 * The agent steps that servers hand to this window (`workflow/runTask`), each done once.
 *
 * A task that is delivered again is joined while it works and answered from memory afterwards, by its id alone: its
 * server may be another one by then. One that is withdrawn is stopped and forgotten; one whose server died works on.
 */
import type { RunTaskParams, RunTaskResult } from "../../../../protocol/schema/sidestep";

/** Finished tasks that are remembered. */
const KEPT_MAX = 200;

export interface Withdrawal {
  readonly isCancellationRequested: boolean;
  onCancellationRequested(listener: () => void): { dispose(): void };
}

export type DoTask = (task: RunTaskParams, signal: AbortSignal) => Promise<RunTaskResult>;

interface Work {
  readonly result: Promise<RunTaskResult>;
  readonly controller: AbortController;
}

export class HostTasks {
  private readonly works = new Map<string, Work>();

  constructor(private readonly doTask: DoTask) {}

  async run(task: RunTaskParams, token: Withdrawal): Promise<RunTaskResult> {
    const work = this.works.get(task.taskId) ?? this.begin(task);
    const withdrawing = token.onCancellationRequested(() => this.withdraw(task.taskId, work));
    if (token.isCancellationRequested) this.withdraw(task.taskId, work);
    try {
      return await work.result;
    } finally {
      withdrawing.dispose();
    }
  }

  private begin(task: RunTaskParams): Work {
    const controller = new AbortController();
    const work: Work = { controller, result: this.doTask(task, controller.signal) };
    this.works.set(task.taskId, work);
    // A failure is no result: asked again, the task is done again.
    work.result.catch(() => this.forget(task.taskId, work));
    for (const oldest of this.works.keys()) {
      if (this.works.size <= KEPT_MAX) break;
      this.works.delete(oldest);
    }
    return work;
  }

  private withdraw(taskId: string, work: Work): void {
    this.forget(taskId, work);
    work.controller.abort();
  }

  private forget(taskId: string, work: Work): void {
    if (this.works.get(taskId) === work) this.works.delete(taskId);
  }
}
