/** Asks a program for its version, without a shell, in a folder that is no workspace. */
import { execFile } from "node:child_process";
import type { Candidate } from "./candidates";
import type { Probe, Probed } from "./discovery";

/** Milliseconds; uvx may have to fetch the server first. */
const WAIT_MS = 15_000;
const WAIT_FETCH_MS = 180_000;

export function probeIn(folder: string): Probe {
  return (candidate) => probe(candidate, folder);
}

function probe(candidate: Candidate, folder: string): Promise<Probed> {
  const timeout = candidate.source === "uvx" ? WAIT_FETCH_MS : WAIT_MS;
  return new Promise((resolve) => {
    const options = { cwd: folder, timeout, windowsHide: true, killSignal: "SIGKILL" as const, maxBuffer: 1 << 20 };
    execFile(candidate.command, [...candidate.args, "--version"], options, (error, stdout, stderr) => {
      if (!error) return resolve({ kind: "printed", text: stdout });
      if (error.code === "ENOENT" || error.code === "ENOTDIR") return resolve({ kind: "missing" });
      const why = error.killed
        ? `did not answer within ${timeout / 1000} seconds`
        : stderr.trim().split("\n").at(-1) || error.message;
      resolve({ kind: "failed", why });
    });
  });
}
