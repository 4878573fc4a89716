/** Which of the candidates is taken, and what is said when none can be. Asks each for its version by a given probe. */
import type { Candidate } from "./candidates";
import { fits, parseVersion, range } from "./version";

export interface Found {
  readonly candidate: Candidate;
  readonly version: string;
}

/** What asking a program for its version came to. `missing`: there is no such program. */
export type Probed =
  | { readonly kind: "printed"; readonly text: string }
  | { readonly kind: "missing" }
  | { readonly kind: "failed"; readonly why: string };

export type Probe = (candidate: Candidate) => Promise<Probed>;

export interface Discovery {
  readonly found?: Found;
  /** Why each candidate before the found one was passed over, for the log. */
  readonly passedOver: readonly string[];
  /** Only when nothing was found: one sentence for the person, and what it is about. */
  readonly problem?: { readonly message: string; readonly kind: "setting" | "version" | "missing" };
}

export async function discover(from: readonly Candidate[], probe: Probe, extensionVersion: string): Promise<Discovery> {
  const passedOver: string[] = [];
  let misfit: string | undefined;
  for (const candidate of from) {
    const probed = await probe(candidate);
    const version = probed.kind === "printed" ? parseVersion(probed.text) : undefined;
    if (version && fits(version, extensionVersion)) return { found: { candidate, version: version.text }, passedOver };
    if (version) {
      const needed = `this extension, ${extensionVersion}, needs ${range(extensionVersion)}`;
      const why = `${candidate.label} is Sidestep ${version.text}; ${needed}`;
      misfit ??= why;
      passedOver.push(why);
    } else {
      passedOver.push(`${candidate.label}: ${reason(probed)}`);
    }
  }
  return { passedOver, problem: problem(from, passedOver, misfit, extensionVersion) };
}

function reason(probed: Probed): string {
  if (probed.kind === "missing") return "not there";
  if (probed.kind === "failed") return probed.why;
  return `printed no version of Sidestep but ${JSON.stringify(probed.text.trim().slice(0, 80))}`;
}

function problem(
  from: readonly Candidate[],
  passedOver: readonly string[],
  misfit: string | undefined,
  extensionVersion: string,
): Discovery["problem"] {
  if (misfit) return { kind: "version", message: `${misfit}. Update the one or the other.` };
  if (from[0]?.source === "setting") {
    return { kind: "setting", message: `The Sidestep server cannot be started: ${passedOver[0]}.` };
  }
  return {
    kind: "missing",
    message:
      `Sidestep ${range(extensionVersion)} is not installed here. Install it with "pip install sidestep" ` +
      "into the project's .venv, or install uv, and try again.",
  };
}
