/** What the feed needs of the connection; the sidecar is one, tests have another. */
import type { WorkflowNotifications, WorkflowRequests } from "../../../../protocol/schema/sidestep";

export interface Wire {
  request<M extends keyof WorkflowRequests>(
    method: M,
    params: WorkflowRequests[M]["params"],
  ): Promise<WorkflowRequests[M]["result"]>;
  onNotification<M extends keyof WorkflowNotifications>(
    method: M,
    handler: (params: WorkflowNotifications[M]["params"]) => void,
  ): void;
}
