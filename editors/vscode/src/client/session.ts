/** One server process and the language client that talks to it, from its start to its end. Started once only. */
import { spawn, type ChildProcess } from "node:child_process";
import * as vscode from "vscode";
import {
  CloseAction,
  ErrorAction,
  LanguageClient,
  RevealOutputChannelOn,
  type LanguageClientOptions,
  type Middleware,
  type StaticFeature,
} from "vscode-languageclient/node";
import type {
  ClientWorkflowCapability,
  InitializationOptions,
  ServerWorkflowCapability,
} from "../../../../protocol/schema/sidestep";
import type { Found } from "../server/discovery";
import { PROTOCOL_VERSION, shakeHands } from "./handshake";

/** The server's own drain takes 3 seconds at most. */
const DRAIN_MS = 4_000;
/** Files that are workflow scripts: the project's, and those of the user's configuration folder. */
export const SCRIPTS: vscode.DocumentFilter[] = [
  { scheme: "file", pattern: "**/.sidestep/workflows/*.py" },
  { scheme: "file", pattern: "**/sidestep/workflows/*.py" },
];

export interface SessionParts {
  readonly found: Found;
  readonly serverArguments: readonly string[];
  /** A folder that is no workspace: the server's working directory. */
  readonly workingDirectory: string;
  readonly extensionVersion: string;
  readonly log: vscode.LogOutputChannel;
  readonly middleware: Middleware;
  readonly capability: Omit<ClientWorkflowCapability, "protocolVersions">;
  readonly initializationOptions: InitializationOptions;
  /** The connection is gone, and nobody asked for that. */
  readonly died: (session: Session) => void;
}

export class Session {
  readonly client: LanguageClient;
  capability?: ServerWorkflowCapability;
  private child?: ChildProcess;
  private isStopping = false;

  constructor(private readonly parts: SessionParts) {
    const options: LanguageClientOptions = {
      documentSelector: SCRIPTS as LanguageClientOptions["documentSelector"],
      outputChannel: parts.log,
      revealOutputChannelOn: RevealOutputChannelOn.Never,
      initializationOptions: parts.initializationOptions,
      // Nothing to ask the person: the sidecar decides what a failed start and a lost connection mean.
      initializationFailedHandler: () => false,
      errorHandler: {
        error: () => ({ action: ErrorAction.Continue, handled: true }),
        closed: () => {
          this.ended();
          return {
            action: CloseAction.DoNotRestart,
            handled: true,
            message: "The connection to the server is closed.",
          };
        },
      },
      middleware: parts.middleware,
      stdioOptions: {
        stdout: () => undefined,
        stderr: (stderr, log) => stderr.setEncoding("utf8").on("data", (text: string) => log.info(text.trimEnd())),
      },
    };
    this.client = new QuietClient("sidestep", "Sidestep", () => this.spawn(), options);
    this.client.registerFeature(workflowFeature(parts.capability));
  }

  /**
   * Greets the server.
   *
   * @returns What is wrong with it, for people; undefined when it can be worked with.
   */
  async start(): Promise<string | undefined> {
    await this.client.start();
    const { found, extensionVersion } = this.parts;
    const hands = shakeHands(this.client.initializeResult, found.candidate.label, extensionVersion);
    this.capability = hands.capability;
    return hands.problem;
  }

  /** Lets the server drain, and leaves no process behind. */
  async stop(): Promise<void> {
    this.isStopping = true;
    const child = this.child;
    try {
      await this.client.stop(DRAIN_MS);
    } catch {
      // It had not started, or is gone already.
    }
    if (child) await gone(child);
    await this.client.dispose().catch(() => undefined);
  }

  get processId(): number | undefined {
    return this.child?.pid;
  }

  private spawn(): Promise<ChildProcess> {
    const { found, serverArguments, workingDirectory } = this.parts;
    const { command, args } = found.candidate;
    const child = spawn(command, [...args, "serve", "--stdio", ...serverArguments], {
      cwd: workingDirectory,
      windowsHide: true,
    });
    this.child = child;
    return new Promise((resolve, reject) => {
      child.once("spawn", () => resolve(child));
      child.once("error", reject);
    });
  }

  private ended(): void {
    if (this.isStopping) return;
    this.isStopping = true;
    this.parts.died(this);
  }
}

/** The process has ended: by itself, now that its input is closed, or killed. */
function gone(child: ChildProcess): Promise<void> {
  return new Promise((resolve) => {
    if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return resolve();
    const killing = setTimeout(() => child.kill("SIGKILL"), DRAIN_MS);
    child.once("exit", () => {
      clearTimeout(killing);
      resolve();
    });
    child.stdin?.destroy();
  });
}

/** Leaves it to the sidecar to tell a person, once and with buttons: what it says itself goes to the log. */
class QuietClient extends LanguageClient {
  override error(message: string, data?: unknown): void {
    super.error(message, data, false);
  }
}

/** Says in `initialize` what this host speaks. */
function workflowFeature(capability: Omit<ClientWorkflowCapability, "protocolVersions">): StaticFeature {
  return {
    fillClientCapabilities: (capabilities) => {
      const workflow: ClientWorkflowCapability = { protocolVersions: [PROTOCOL_VERSION], ...capability };
      capabilities.experimental = { ...(capabilities.experimental as object | undefined), workflow };
    },
    initialize: () => undefined,
    getState: () => ({ kind: "static" }),
    clear: () => undefined,
  };
}
