/** Versions as `sidestep --version` prints them, and which servers an extension works with. */

export interface Version {
  readonly text: string;
  readonly numbers: readonly [number, number, number];
}

/** The version in a line such as `sidestep 0.1.0`; undefined when the line is no such. */
export function parseVersion(line: string): Version | undefined {
  const match = /^sidestep (?<text>(?<major>\d+)\.(?<minor>\d+)(?:\.(?<patch>\d+))?[^\s]*)\s*$/.exec(line.trim());
  if (!match?.groups) return undefined;
  const { text, major, minor, patch } = match.groups;
  return { text: text ?? "", numbers: [Number(major), Number(minor), Number(patch ?? 0)] };
}

/**
 * Whether a server fits an extension: the same major version, and while that is 0 the same minor version too. The rest
 * is what the protocol's own handshake is for.
 */
export function fits(server: Version, extension: string): boolean {
  const wanted = parseVersion(`sidestep ${extension}`);
  if (!wanted) return false;
  const [major, minor] = server.numbers;
  return major === wanted.numbers[0] && (major > 0 || minor === wanted.numbers[1]);
}

/** The servers that fit, for people: `0.1.x`. */
export function range(extension: string): string {
  const [major = "0", minor = "0"] = extension.split(".");
  return major === "0" ? `0.${minor}.x` : `${major}.x`;
}
