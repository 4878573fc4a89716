// Types of the Sidestep protocol, version 1. Generated; do not edit.
//
// What a server sends may grow: pass over fields you do not know, and keep a default branch for enumerations
// (`| (string & {})`) and for events of other types (`UnknownEvent`).

/**
 * An agent of the host's: an ACP agent, a command-line program, or the host itself (`workflow/runTask`).
 *
 * As `[agents.NAME]` in a configuration file, where each setting is described.
 */
export interface AgentConfig {
  /** May be left out with a preset, and for an agent that is named like one. */
  kind?: "acp" | "cli" | "host";
  /** A known agent, which gives what is not said here. */
  preset?: string;
  command?: string;
  args?: string[];
  env?: Record<string, string>;
  cwd?: string;
  /**
   * Tasks at one time.
   * Limits: at least 1.
   */
  concurrency?: number;
  promptVia?: "arg" | "stdin";
  /** How it learns the schema of an answer: `prompt` as text, `data` (of the host) as `workflow/runTask` has it. */
  schema?: "data" | "prompt";
  outputFormat?: "json" | "text";
  reportFile?: string;
  reportField?: string;
  errorField?: string;
  /** Where in its JSON `inputTokens`, `outputTokens` and `costUsd` stand: a path, or several. */
  usage?: Record<string, string | string[]>;
}

/** Everything in the answer that does not fit the question, with its path. */
export interface AnswerInvalidData {
  reason: string;
  problems: Problem[];
}

/** `workflow/answer`: a choice's id, a value that fits the schema, or text. */
export interface AnswerParams {
  interactionId: string;
  answer: unknown;
}

/** The first durable answer wins; `recorded` is the one that did. */
export interface AnswerResult {
  accepted: boolean;
  recorded: unknown;
}

/** Every argument that does not fit, with its path. */
export interface ArgsInvalidData {
  reason: string;
  problems: Problem[];
}

export type Attention = "blocking" | "notifyOnTerminal" | (string & {});

/** The run was moved to the background, or back. */
export interface AttentionEvent {
  type: "attention";
  sequence: Sequence;
  at: Timestamp;
  attention: Attention;
}

/** `workflow/background`: release the waiting request, which answers with status `backgrounded`. */
export interface BackgroundParams {
  runId: string;
}

/** The run's status now. */
export interface BackgroundResult {
  runId: string;
  status: RunStatus;
}

/** `$/cancelRequest`. */
export interface CancelParams {
  id: Id;
}

/** What became of the run a cancelled or drained request waited for; `runId` is null when none was stored. */
export interface CancelledData {
  reason: string;
  runId: string | null;
  status?: RunStatus;
  resumable?: boolean;
  sequence?: number;
  quiescent?: boolean;
  /** Only this request stopped waiting: another waits for the run, or another process owns it. */
  detached?: boolean;
}

/** A nested run was made or changed its status. */
export interface ChildEvent {
  type: "child";
  sequence: Sequence;
  at: Timestamp;
  stepId: string;
  childRunId: string;
  status: RunStatus;
  name?: string;
}

/** One of the answers offered. */
export interface Choice {
  id: string;
  title: string;
}

/** A host's `capabilities.experimental.workflow`. */
export interface ClientWorkflowCapability {
  protocolVersions: number[];
  /**
   * The host wants `workflow/eventsAppended`.
   * @default false
   */
  events?: boolean;
  /**
   * The host wants `workflow/output`.
   * @default false
   */
  output?: boolean;
  /**
   * The host answers `workflow/runTask`.
   * @default false
   */
  runTask?: boolean;
  /**
   * The host answers `workflow/interact`.
   * @default false
   */
  interaction?: boolean;
}

/** `workflow/delete`: a stopped, quiescent run with its whole tree. */
export interface DeleteParams {
  runId: string;
}

/** `workflow/deleted`: the run and its tree are gone. */
export interface DeletedNotification {
  runId: string;
}

/** One problem in a script, in LSP's shape: a host may show it as it is. */
export interface Diagnostic {
  range: Range;
  /** 1 error, 2 warning, 3 information, 4 hint. */
  severity: number;
  message: string;
  code?: string;
  source?: string;
  /** For quick fixes; hosts hand it back unread. */
  data?: unknown;
}

/** Params or result without fields: `{}`. */
export type Empty = Record<string, never>;

/** What `data` has in every error: the reason. Reasons that carry more have a struct of their own in ERROR_DATA. */
export interface ErrorData {
  reason: string;
}

/** The run failed. */
export interface ErrorEvent {
  type: "error";
  sequence: Sequence;
  at: Timestamp;
  error: ErrorInfo;
}

/** Why a run or a step failed. Hosts switch on `code`, never on the message. */
export interface ErrorInfo {
  message: string;
  code: FailureCode;
  stepId?: string;
  /** Where in the author's script: the file as messages name it, and the line, 1-based. */
  file?: string;
  line?: number;
}

export type Event =
  | StatusEvent
  | PhaseEvent
  | LogEvent
  | StepEvent
  | ValidationEvent
  | TimeoutEvent
  | InteractionEvent
  | ChildEvent
  | AttentionEvent
  | SourceEvent
  | ResultEvent
  | ErrorEvent;

/** `workflow/eventsAppended`: new journal events of a run, batched for at most 50 ms. */
export interface EventsAppendedNotification {
  runId: string;
  events: Event[];
}

/** `workflow/events`: the journal after a sequence, in order. */
export interface EventsParams {
  runId: string;
  /** @default 0 */
  afterSequence?: Sequence;
  /**
   * Limits: at least 1, at most 500.
   * @default 500
   */
  limit?: number;
}

/** `lastSequence` is the run's, whether or not this page reaches it. */
export interface EventsResult {
  events: Event[];
  lastSequence: Sequence;
  hasMore: boolean;
}

export type FailureCode = "script" | "step" | "validation" | "timeout" | "infrastructure" | "limit" | (string & {});

/** `workflow/get`. */
export interface GetParams {
  runId: string;
  /** @default [] */
  include?: Array<"args" | "result" | "source">;
}

/** The run, and the questions it waits for: the oldest 100 of a run, of a root: of its tree. */
export interface GetResult {
  run: RunDetail;
  pending: Interaction[];
}

export type Health = "ok" | "warning" | "error" | (string & {});

/** How the server is. Sizes in bytes. */
export interface HealthResult {
  status: Health;
  activeRuns: number;
  queuedBytes: number;
  droppedOutputBytes: number;
  storePath: string;
  storeBytes: number;
  /** Component name to version. */
  versions: Record<string, string>;
}

/** Request ids and progress tokens: `1` and `"1"` differ. */
export type Id = number | string;

/** `initializationOptions`, all optional. */
export interface InitializationOptions {
  trust?: SessionTrust;
  /** @default true */
  autoResume?: boolean;
  /** @default "allow" */
  permissionPolicy?: "allow" | "ask" | "deny";
  /** @default {} */
  agents?: Record<string, AgentConfig>;
  defaultAgent?: string;
}

/**
 * LSP `InitializeParams`, as much as a server needs. Tolerant of null and of absence, as LSP's clients are.
 *
 * LSP marks `processId` and `rootUri` as always sent, so they are, null included.
 */
export interface InitializeParams {
  processId?: number | null;
  rootUri?: string | null;
  capabilities?: JsonObject;
  rootPath?: string | null;
  clientInfo?: PeerInfo | null;
  workspaceFolders?: WorkspaceFolder[] | null;
  initializationOptions?: InitializationOptions | null;
  trace?: string | null;
  locale?: string | null;
  workDoneToken?: number | string | null;
}

/** LSP `InitializeResult`; ours is at `capabilities.experimental.workflow`. */
export interface InitializeResult {
  capabilities: JsonObject;
  serverInfo?: PeerInfo | null;
}

/** Ask a person. The same `interactionId` comes again after a restart, with `redelivery`. */
export interface InteractParams {
  interactionId: string;
  runId: string;
  kind: InteractionKind;
  title: string;
  redelivery: boolean;
  stepId?: string;
  detail?: string;
  choices?: Choice[];
  schema?: JsonObject;
}

/** A choice's id, a value that fits the schema, or text. */
export interface InteractResult {
  answer: unknown;
}

/** A question that waits for its answer. */
export interface Interaction {
  interactionId: string;
  runId: string;
  kind: InteractionKind;
  title: string;
  askedAt: Timestamp;
  stepId?: string;
  detail?: string;
  choices?: Choice[];
  schema?: JsonObject;
}

/** A question was asked, answered or withdrawn. */
export interface InteractionEvent {
  type: "interaction";
  sequence: Sequence;
  at: Timestamp;
  interactionId: string;
  kind: InteractionKind;
  status: InteractionStatus;
  stepId?: string;
  title?: string;
  answer?: unknown;
  /** Who answered, for people. */
  by?: string;
}

export type InteractionKind = "question" | "permission" | "trust" | (string & {});

/** The answer that won, null when there is none: the question was withdrawn, or never asked. */
export interface InteractionNotPendingData {
  reason: string;
  recorded: unknown;
}

/** `workflow/interactionResolved`: a question was answered or withdrawn, or its run stopped; hosts take it down. */
export interface InteractionResolvedNotification {
  interactionId: string;
  /** Who answered, for people; `run` when nobody did. */
  by: string;
}

export type InteractionStatus = "asked" | "answered" | "withdrawn" | (string & {});

/** The id under which the server's log has the details; never a traceback or a path. */
export interface InternalErrorData {
  reason: string;
  incidentId: string;
}

/** `workflow/interrupt`: answers when the interrupt is durable, or (default) when the run has unwound too. */
export interface InterruptParams {
  runId: string;
  /** @default "quiescent" */
  wait?: "durable" | "quiescent";
}

export type InterruptReason =
  | "user"
  | "cancelled"
  | "clientGone"
  | "shutdown"
  | "crash"
  | "deadline"
  | "parent"
  | (string & {});

/** `quiescent` is false when the grace was spent before the run had unwound. */
export interface InterruptResult {
  runId: string;
  status: RunStatus;
  alreadyTerminal: boolean;
  quiescent: boolean;
  sequence: Sequence;
}

/** `path` leads to the value from `$`, as in `$.script`; `expected` says what should stand there. */
export interface InvalidParamsData {
  reason: string;
  path: string;
  expected: string;
}

/** Where the run stands; for a child, the root to ask instead. */
export interface InvalidTransitionData {
  reason: string;
  runId?: string;
  status?: RunStatus;
  rootRunId?: string;
}

/** Any JSON object of the user's: arguments, log data, schemas. */
export type JsonObject = Record<string, unknown>;

/** What a run did not do again when it went on: the work of its finished steps, side by side counted twice. */
export interface Kept {
  durationMs: number;
  usage?: Usage;
}

/** `workflow/lagged`: this host reads too slowly; nothing more for the run until it subscribes again. */
export interface LaggedNotification {
  runId: string;
  lastSequence: Sequence;
}

/** `workflow/list`: newest first; root runs unless `parentRunId` is given. */
export interface ListParams {
  workspaceFolder?: string;
  status?: StatusFilter[];
  name?: string;
  /** Words to look for in name and label. */
  text?: string;
  parentRunId?: string;
  createdAfter?: Timestamp;
  createdBefore?: Timestamp;
  cursor?: string;
  /**
   * Limits: at least 1, at most 100.
   * @default 50
   */
  limit?: number;
}

/** A page; `nextCursor` is null on the last one. */
export interface ListResult {
  runs: RunSummary[];
  nextCursor: string | null;
}

/** The script logged or printed. */
export interface LogEvent {
  type: "log";
  sequence: Sequence;
  at: Timestamp;
  message: string;
  level?: LogLevel;
  data?: JsonObject;
}

export type LogLevel = "debug" | "info" | "warning" | "error" | (string & {});

/** Foreground: the request waits for the run. Background: it is answered after the durable create or claim. */
export type Mode = "background" | "foreground";

/** `workflow/output`: what a step's process prints while it runs. Ephemeral; dropped first when a host is slow. */
export interface OutputNotification {
  runId: string;
  stepId: string;
  stream: OutputStream;
  text: string;
  droppedBytes: number;
}

export type OutputStream = "stdout" | "stderr" | "agent" | "progress" | (string & {});

/** When to try again. */
export interface OverloadedData {
  reason: string;
  retryAfterMs: number;
}

/** The process that may run a run. */
export interface Owner {
  pid: number;
  since: Timestamp;
  /** True when it is the process that answers. */
  mine: boolean;
}

/** LSP's `clientInfo` and `serverInfo`. */
export interface PeerInfo {
  name: string;
  version?: string | null;
}

/** Absent is not "allow": then the project's word holds, or the user's, and "allow" when nobody has said anything. */
export type PermissionPolicy = "allow" | "ask" | "deny";

/** The script announced a phase. */
export interface PhaseEvent {
  type: "phase";
  sequence: Sequence;
  at: Timestamp;
  name: string;
  details?: JsonObject;
}

/** A place in a text as LSP counts: line and UTF-16 code unit, both 0-based. */
export interface Position {
  line: number;
  character: number;
}

/** One value that does not fit; `path` is a JSON pointer, empty for the whole. */
export interface Problem {
  path: string;
  message: string;
}

/** `$/progress`; `value` is one of the three WorkDoneProgress structs, or another feature's. */
export interface ProgressParams {
  token: Id;
  value: unknown;
}

/** From `start` up to but not including `end`. */
export interface Range {
  start: Position;
  end: Position;
}

/** JSON-RPC's error object. `data` is an object with at least `reason` in everything Sidestep answers. */
export interface ResponseError {
  code: number;
  message: string;
  data?: unknown;
}

/** `main` returned. */
export interface ResultEvent {
  type: "result";
  sequence: Sequence;
  at: Timestamp;
  result: RunResult;
}

/** `workflow/resume`: go on with an interrupted run; answered as a start is. */
export interface ResumeParams {
  runId: string;
  /** @default "foreground" */
  mode?: Mode;
  workDoneToken?: Id;
  /** @default false */
  events?: boolean;
  /** Limits: above 0, at most 31622400. */
  deadlineS?: number;
}

/** `workflow/retry`: run a failed run's failed steps again; answered as a start is. */
export interface RetryParams {
  runId: string;
  /**
   * `current` reads, checks and snapshots the script again.
   * @default "snapshot"
   */
  source?: "current" | "snapshot";
  /** @default "foreground" */
  mode?: Mode;
  workDoneToken?: Id;
  /** @default false */
  events?: boolean;
  /** Limits: above 0, at most 31622400. */
  deadlineS?: number;
}

/** One run in full; `args`, `result` and `source` only when `include` names them. */
export interface RunDetail {
  runId: string;
  name: string;
  /** The client's own URI, echoed. */
  workspaceFolder: string;
  status: RunStatus;
  attention: Attention;
  createdAt: Timestamp;
  updatedAt: Timestamp;
  sequence: Sequence;
  rootRunId: string;
  steps: StepCounts;
  /** Questions that wait for an answer. */
  pending: number;
  label?: string;
  reason?: InterruptReason;
  endedAt?: Timestamp;
  parentRunId?: string;
  phase?: string;
  /** Absent when nobody holds the run: lease cleared, quiescent. */
  owner?: Owner;
  /** JSON schema of the arguments, from `main`'s signature. */
  argsSchema: JsonObject;
  /** SHA-256 of the snapshotted source, hexadecimal. */
  sourceHash: string;
  error?: ErrorInfo;
  deadlineAt?: Timestamp;
  args?: JsonObject;
  result?: RunResult;
  source?: string;
  /** Of all its steps, also failed ones and those of earlier executions; absent when no agent said anything. */
  usage?: Usage;
  /** Absent when it was never resumed or retried, or nothing was finished by then. */
  kept?: Kept;
}

/** Who owns the run, and whether its old execution has unwound. */
export interface RunLeasedData {
  reason: string;
  pid: number;
  since: Timestamp;
  mine: boolean;
  quiescent: boolean;
}

/** The id that is not there. */
export interface RunNotFoundData {
  reason: string;
  runId: string;
}

/** Answer of a waiting start, resume or retry. A failed run is a result, not an error of the request. */
export interface RunOutcome {
  runId: string;
  status: RunStatus;
  sequence: Sequence;
  steps: StepCounts;
  result?: RunResult;
  error?: ErrorInfo;
  reason?: InterruptReason;
}

/** The part of a run that changes while it runs, as `workflow/statusChanged` carries it. */
export interface RunProgress {
  steps: StepCounts;
  pending: number;
  phase?: string;
}

/** What `main` returned. */
export interface RunResult {
  /** Text for people, Markdown as a rule; null when the script returned none. */
  report: string | null;
  data?: unknown;
  /** Where a result over the limit lies instead of in `data`. */
  uri?: string;
}

/** Answer of a background start, resume or retry, sent after the durable create or claim. */
export interface RunStarted {
  runId: string;
  status: RunStatus;
  /** False when `startKey` found a run that was there already. */
  created: boolean;
  sequence: Sequence;
}

export type RunStatus =
  | "pending"
  | "running"
  | "backgrounded"
  | "interrupted"
  | "completed"
  | "failed"
  | (string & {});

/** A run in a list. */
export interface RunSummary {
  runId: string;
  name: string;
  /** The client's own URI, echoed. */
  workspaceFolder: string;
  status: RunStatus;
  attention: Attention;
  createdAt: Timestamp;
  updatedAt: Timestamp;
  sequence: Sequence;
  rootRunId: string;
  steps: StepCounts;
  /** Questions that wait for an answer. */
  pending: number;
  label?: string;
  reason?: InterruptReason;
  endedAt?: Timestamp;
  parentRunId?: string;
  phase?: string;
  /** Absent when nobody holds the run: lease cleared, quiescent. */
  owner?: Owner;
}

/**
 * Do an agent step. Hosts deduplicate by `taskId` alone: delivered again, they return the finished result if there
 * is one.
 */
export interface RunTaskParams {
  taskId: string;
  runId: string;
  stepId: string;
  inputHash: string;
  /** 1-based. */
  attempt: number;
  /** A hint that this task may have been delivered before. */
  redelivery: boolean;
  prompt: string;
  /** Absolute path of the directory to work in. */
  cwd: string;
  agent?: string;
  title?: string;
  /** JSON schema `data` has to fit. */
  schema?: JsonObject;
  timeoutMs?: number;
}

/** What the agent made of it: text, or data that fits the schema; one of them at least. */
export interface RunTaskResult {
  report?: string;
  data?: unknown;
  /** What it used, as far as it is known: `inputTokens`, `outputTokens` and `costUsd`, in dollars. */
  usage?: JsonObject;
}

/** A script that can be named in `workflow/start`. */
export interface ScriptInfo {
  name: string;
  scope: ScriptScope;
  description: string;
  argsSchema: JsonObject;
  runnable: boolean;
  uri?: string;
  /** Why it is not runnable, for people. */
  blockedReason?: string;
}

/** Everything wrong with the script. */
export interface ScriptInvalidData {
  reason: string;
  diagnostics: Diagnostic[];
}

/** Names close to the wanted one, best first. */
export interface ScriptNotFoundData {
  reason: string;
  near: string[];
}

/**
 * Which script to run, in exactly one of three forms: `{name}`, `{uri}`, or `{source, name?}` (inline, optionally
 * named).
 */
export interface ScriptRef {
  name?: string;
  uri?: string;
  source?: string;
}

export type ScriptScope = "project" | "user" | "builtin" | (string & {});

/** `workflow/scripts`. */
export interface ScriptsParams {
  workspaceFolder?: string;
}

/** Every script that can be started by name there. */
export interface ScriptsResult {
  scripts: ScriptInfo[];
}

/** Position in a run's journal: 1-based, gap-free. 0 means "before the first event". */
export type Sequence = number;

/** `workflow/serverStatus`: how the server is. */
export interface ServerStatusNotification {
  health: Health;
  activeRuns: number;
  message?: string;
}

/** A server's `capabilities.experimental.workflow`. */
export interface ServerWorkflowCapability {
  protocolVersion: number;
  serverVersion: string;
  schemaHash: string;
  /** Same for all windows on one store; null while the store cannot be opened. */
  storeId: string | null;
  /** Another one after each start of the server. */
  serverEpoch: string;
  features: string[];
  /** Name to number; the names carry their units. */
  limits: Record<string, number>;
}

/** The folders (`file:` URIs) trusted in this session. */
export interface SessionTrust {
  folders: string[];
}

/** A retry took the script's current source: SHA-256 before and after, hexadecimal. */
export interface SourceEvent {
  type: "source";
  sequence: Sequence;
  at: Timestamp;
  oldHash: string;
  newHash: string;
}

/** `workflow/start`. Foreground is answered with RunOutcome, background with RunStarted. */
export interface StartParams {
  script: ScriptRef;
  /** @default {} */
  args?: JsonObject;
  /** @default "foreground" */
  mode?: Mode;
  /** May be left out with exactly one folder open. */
  workspaceFolder?: string;
  /** Unique per folder until its run is deleted: the same key, script and arguments find the same run. */
  startKey?: string;
  label?: string;
  workDoneToken?: Id;
  /**
   * Send `workflow/eventsAppended` for this run.
   * @default false
   */
  events?: boolean;
  /**
   * Seconds after which the run is interrupted (deadline), by the wall clock.
   * Limits: above 0, at most 31622400.
   */
  deadlineS?: number;
}

/**
 * `workflow/statusChanged`: a root run of the client's folders changed, in whichever window it runs.
 *
 * Sent only after the change is durable; the first one of a run precedes everything else about it (G1, G3).
 */
export interface StatusChangedNotification {
  runId: string;
  status: RunStatus;
  sequence: Sequence;
  at: Timestamp;
  name: string;
  attention: Attention;
  summary: RunProgress;
  previous?: RunStatus;
  reason?: InterruptReason;
  label?: string;
  startKey?: string;
  /** Id of the start request that made the run, if this connection sent it. */
  requestId?: Id;
  quiescent?: boolean;
  error?: ErrorInfo;
  /** With a terminal status, as in RunDetail. */
  usage?: Usage;
  kept?: Kept;
}

/** The run's status changed, or (with `quiescent`) a stopped run has unwound. */
export interface StatusEvent {
  type: "status";
  sequence: Sequence;
  at: Timestamp;
  status: RunStatus;
  previous?: RunStatus;
  reason?: InterruptReason;
  quiescent?: boolean;
  detail?: string;
}

/** `active` stands for pending, running and backgrounded. */
export type StatusFilter = "active" | "backgrounded" | "completed" | "failed" | "interrupted" | "pending" | "running";

/** How many of a run's steps are in which state. `reused` ones came from the journal and cost nothing this time. */
export interface StepCounts {
  completed: number;
  reused: number;
  failed: number;
  running: number;
}

/** A step started or ended. `late`: its result arrived after the run had stopped, and was kept. */
export interface StepEvent {
  type: "step";
  sequence: Sequence;
  at: Timestamp;
  stepId: string;
  kind: StepKind;
  key: string;
  status: StepStatus;
  attempt: number;
  late?: boolean;
  title?: string;
  taskId?: string;
  /** The phase the step belongs to, and its line in the author's script (1-based); with status `started`. */
  phase?: string;
  line?: number;
  durationMs?: number;
  /** Why it was stopped, with status `interrupted`: `sibling` or `scriptEnded`. */
  reason?: string;
  error?: ErrorInfo;
  /** What the work used, with its outcome. */
  usage?: Usage;
}

export type StepKind = "agent" | "command" | "workflow" | "ask" | "sleep" | "apply_patch" | (string & {});

export type StepStatus = "queued" | "started" | "completed" | "failed" | "interrupted" | (string & {});

/** One step of a run; (stepId, key) is its identity, `key` the hash of its input. */
export interface StepSummary {
  stepId: string;
  kind: StepKind;
  key: string;
  status: StepStatus;
  attempt: number;
  startedAt: Timestamp;
  /** True when the present execution of the run took the result from the journal. */
  reused: boolean;
  title?: string;
  endedAt?: Timestamp;
  phase?: string;
  /** Only when outputs were asked for, and small enough. */
  output?: unknown;
  outputUri?: string;
  error?: ErrorInfo;
  childRunId?: string;
  usage?: Usage;
}

/** `workflow/steps`: in the order the steps first started. */
export interface StepsParams {
  runId: string;
  stepId?: string;
  /**
   * Send each step's output, if it is small enough.
   * @default false
   */
  outputs?: boolean;
  cursor?: string;
  /**
   * Limits: at least 1, at most 200.
   * @default 200
   */
  limit?: number;
}

/** A page; `nextCursor` is null on the last one. */
export interface StepsResult {
  steps: StepSummary[];
  nextCursor: string | null;
}

/** What is wrong, and what a person should do. */
export interface StoreUnavailableData {
  reason: string;
  what: string;
  todo: string;
}

/** `workflow/subscribe`: one subscription per run and connection. */
export interface SubscribeParams {
  runId: string;
  /** @default 0 */
  afterSequence?: Sequence;
}

/** The past up to `liveFromSequence`; from there on `workflow/eventsAppended`. No gap, no duplicate. */
export interface SubscribeResult {
  run: RunSummary;
  events: Event[];
  liveFromSequence: Sequence;
  pending: Interaction[];
}

/** A task is alive. */
export interface TaskProgressNotification {
  taskId: string;
  message?: string;
}

/** A step reached its time limit: `soft` asks for what there is, `hard` stops it. */
export interface TimeoutEvent {
  type: "timeout";
  sequence: Sequence;
  at: Timestamp;
  stepId: string;
  key: string;
  stage: TimeoutStage;
  limitMs: number;
}

export type TimeoutStage = "soft" | "hard" | (string & {});

/** RFC 3339, UTC, milliseconds: `2026-01-31T09:30:00.125Z`. See `timestamps`. */
export type Timestamp = string;

/** `workflow/trust`: for this session, or with `remember` for this user. Withdrawn, the folders' runs stop. */
export interface TrustParams {
  folders: string[];
  trusted: boolean;
  /** @default false */
  remember?: boolean;
}

/** An event of a type that this version does not know: pass over it. */
export interface UnknownEvent {
  type: string;
  sequence: Sequence;
  at: Timestamp;
}

/** `workflow/unsubscribe`. */
export interface UnsubscribeParams {
  runId: string;
}

/** What steps used, as their agents reported it; 0 for what they did not say. */
export interface Usage {
  inputTokens: number;
  outputTokens: number;
  /** Dollars. */
  costUsd: number;
}

/** `workflow/validate`: check a script without running it, by `{uri}` or by `{source}`. */
export interface ValidateParams {
  uri?: string;
  source?: string;
}

/** Empty when the script is fine. */
export interface ValidateResult {
  diagnostics: Diagnostic[];
}

/** An agent's answer did not fit the schema; `attempt` is 1-based and counted across resumes. */
export interface ValidationEvent {
  type: "validation";
  sequence: Sequence;
  at: Timestamp;
  stepId: string;
  key: string;
  attempt: number;
  problems: Problem[];
}

/** First value for a token. */
export interface WorkDoneProgressBegin {
  kind: "begin";
  title: string;
  cancellable?: boolean;
  message?: string;
  /** 0 to 100. */
  percentage?: number;
}

/** Last value for a token. */
export interface WorkDoneProgressEnd {
  kind: "end";
  message?: string;
}

/** Any number of them in between. */
export interface WorkDoneProgressReport {
  kind: "report";
  message?: string;
  percentage?: number;
  cancellable?: boolean;
}

/** `window/workDoneProgress/create` (to the client) and `window/workDoneProgress/cancel` (to the server). */
export interface WorkDoneProgressTokenParams {
  token: Id;
}

/** One open folder. */
export interface WorkspaceFolder {
  uri: string;
  /** @default "" */
  name?: string;
}

/** Requests of a host, answered by the server. */
export interface WorkflowRequests {
  "workflow/start": { params: StartParams; result: RunOutcome | RunStarted };
  "workflow/interrupt": { params: InterruptParams; result: InterruptResult };
  "workflow/background": { params: BackgroundParams; result: BackgroundResult };
  "workflow/resume": { params: ResumeParams; result: RunOutcome | RunStarted };
  "workflow/retry": { params: RetryParams; result: RunOutcome | RunStarted };
  "workflow/list": { params: ListParams; result: ListResult };
  "workflow/get": { params: GetParams; result: GetResult };
  "workflow/steps": { params: StepsParams; result: StepsResult };
  "workflow/events": { params: EventsParams; result: EventsResult };
  "workflow/subscribe": { params: SubscribeParams; result: SubscribeResult };
  "workflow/unsubscribe": { params: UnsubscribeParams; result: Empty };
  "workflow/answer": { params: AnswerParams; result: AnswerResult };
  "workflow/scripts": { params: ScriptsParams; result: ScriptsResult };
  "workflow/validate": { params: ValidateParams; result: ValidateResult };
  "workflow/trust": { params: TrustParams; result: Empty };
  "workflow/delete": { params: DeleteParams; result: Empty };
  "workflow/health": { params: Empty; result: HealthResult };
}

/** What the server tells a host. */
export interface WorkflowNotifications {
  "workflow/statusChanged": { params: StatusChangedNotification };
  "workflow/eventsAppended": { params: EventsAppendedNotification };
  "workflow/lagged": { params: LaggedNotification };
  "workflow/deleted": { params: DeletedNotification };
  "workflow/output": { params: OutputNotification };
  "workflow/interactionResolved": { params: InteractionResolvedNotification };
  "workflow/serverStatus": { params: ServerStatusNotification };
}

/** Requests of the server, answered by a host. */
export interface WorkflowServerRequests {
  "workflow/runTask": { params: RunTaskParams; result: RunTaskResult };
  "workflow/interact": { params: InteractParams; result: InteractResult };
}

/** What a host tells the server. */
export interface WorkflowClientNotifications {
  "workflow/taskProgress": { params: TaskProgressNotification };
}

/** LSP requests of a host, as far as Sidestep has types for them. */
export interface LspRequests {
  initialize: { params: InitializeParams; result: InitializeResult };
  shutdown: { params: Empty; result: null };
}

/** LSP notifications from the server. */
export interface LspNotifications {
  "$/cancelRequest": { params: CancelParams };
  "$/progress": { params: ProgressParams };
}

/** LSP requests of the server, answered by a host. */
export interface LspServerRequests {
  "window/workDoneProgress/create": { params: WorkDoneProgressTokenParams; result: null };
}

/** LSP notifications from a host. */
export interface LspClientNotifications {
  initialized: { params: Empty };
  exit: { params: Empty };
  "$/cancelRequest": { params: CancelParams };
  "$/progress": { params: ProgressParams };
  "window/workDoneProgress/cancel": { params: WorkDoneProgressTokenParams };
}

/** What stands in the places that LSP leaves open. */
export interface Inside {
  "InitializeParams.capabilities.experimental.workflow": ClientWorkflowCapability;
  "InitializeResult.capabilities.experimental.workflow": ServerWorkflowCapability;
  "ProgressParams.value": WorkDoneProgressBegin | WorkDoneProgressReport | WorkDoneProgressEnd;
  "Response.error": ResponseError;
}

/** Reason of an error to its code and data. */
export interface Errors {
  parseError: { code: -32700; data: ErrorData };
  badFraming: { code: -32700; data: ErrorData };
  payloadTooLarge: { code: -32600; data: ErrorData };
  invalidRequest: { code: -32600; data: ErrorData };
  batch: { code: -32600; data: ErrorData };
  duplicateId: { code: -32600; data: ErrorData };
  afterShutdown: { code: -32600; data: ErrorData };
  reinitialize: { code: -32600; data: ErrorData };
  badId: { code: -32600; data: ErrorData };
  methodNotFound: { code: -32601; data: ErrorData };
  invalidParams: { code: -32602; data: InvalidParamsData };
  workspaceInvalid: { code: -32602; data: InvalidParamsData };
  internal: { code: -32603; data: InternalErrorData };
  notInitialized: { code: -32002; data: ErrorData };
  requestCancelled: { code: -32800; data: CancelledData };
  serverDraining: { code: -32802; data: ErrorData };
  requestFailed: { code: -32803; data: ErrorData };
  leaseLost: { code: -32803; data: ErrorData };
  claimSuperseded: { code: -32803; data: ErrorData };
  overloaded: { code: -31001; data: OverloadedData };
  runNotFound: { code: -31002; data: RunNotFoundData };
  invalidTransition: { code: -31003; data: InvalidTransitionData };
  runLeased: { code: -31004; data: RunLeasedData };
  startKeyConflict: { code: -31005; data: ErrorData };
  workspaceUntrusted: { code: -31006; data: ErrorData };
  scriptInvalid: { code: -31007; data: ScriptInvalidData };
  scriptNotFound: { code: -31008; data: ScriptNotFoundData };
  storeUnavailable: { code: -31009; data: StoreUnavailableData };
  capabilityMissing: { code: -31010; data: ErrorData };
  interactionNotPending: { code: -31011; data: InteractionNotPendingData };
  protocolVersionUnsupported: { code: -31012; data: ErrorData };
  argsInvalid: { code: -31013; data: ArgsInvalidData };
  answerInvalid: { code: -31014; data: AnswerInvalidData };
}

/** The stable word in `data.reason` of an error; a newer server may have others. */
export type ErrorReason = keyof Errors;

/** `data` of an error. Narrow it by its `reason`. */
export type KnownErrorData = { [R in ErrorReason]: Errors[R]["data"] & { reason: R } }[ErrorReason];
