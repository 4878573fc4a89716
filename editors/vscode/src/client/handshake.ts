/** Whether the program that answered `initialize` is a server this extension can work with. */
import type { ServerWorkflowCapability } from "../../../../protocol/schema/sidestep";

export const PROTOCOL_VERSION = 1;

export type Handshake =
  | { readonly capability: ServerWorkflowCapability; readonly problem?: undefined }
  | { readonly capability?: undefined; readonly problem: string };

/** `initializeResult` is what came over the wire, unread so far. */
export function shakeHands(initializeResult: unknown, serverLabel: string, extensionVersion: string): Handshake {
  const result = objectOf(initializeResult);
  const capability = objectOf(objectOf(objectOf(result.capabilities).experimental).workflow);
  if (capability.protocolVersion === PROTOCOL_VERSION) {
    return { capability: capability as unknown as ServerWorkflowCapability };
  }
  const info = objectOf(result.serverInfo);
  const server = typeof capability.serverVersion === "string" ? capability.serverVersion : info.version;
  const name = typeof server === "string" ? `Sidestep ${server}` : "the program";
  const speaks =
    typeof capability.protocolVersion === "number"
      ? `speaks version ${capability.protocolVersion} of the protocol`
      : "shares no version of the protocol";
  return {
    problem:
      `${name} at ${serverLabel} ${speaks}; this extension, ${extensionVersion}, speaks version ${PROTOCOL_VERSION}. ` +
      "Update the one or the other.",
  };
}

function objectOf(value: unknown): Record<string, unknown> {
  return typeof value === "object" && value !== null ? (value as Record<string, unknown>) : {};
}
