import assert from "node:assert/strict";
import { test } from "node:test";
import { shakeHands } from "../../../src/client/handshake";
import { refusalOf } from "../../../src/client/problem";
import { Restarts } from "../../../src/client/restarts";

test("a server is restarted five times within three minutes, then somebody is asked", () => {
  const restarts = new Restarts();
  const answers = [0, 1, 2, 3, 4, 5].map((second) => restarts.died(second * 1000));
  assert.deepEqual(answers, [0, 500, 1000, 2000, 4000, "ask"]);
});

test("deaths that lie far apart are each the first one", () => {
  const restarts = new Restarts();
  for (let day = 0; day < 10; day += 1) assert.equal(restarts.died(day * 86_400_000), 0);
});

test("who asks for a start begins anew", () => {
  const restarts = new Restarts();
  for (let n = 0; n < 6; n += 1) restarts.died(0);
  restarts.forget();
  assert.equal(restarts.died(0), 0);
});

test("a server of the same protocol is welcome", () => {
  const capability = { protocolVersion: 1, serverVersion: "0.1.0", features: [] };
  const hands = shakeHands({ capabilities: { experimental: { workflow: capability } } }, "sidestep on PATH", "0.1.0");
  assert.equal(hands.problem, undefined);
  assert.equal(hands.capability?.serverVersion, "0.1.0");
});

test("a server of another protocol is named with both versions", () => {
  const capability = { protocolVersion: 2, serverVersion: "3.0.0" };
  const { problem } = shakeHands({ capabilities: { experimental: { workflow: capability } } }, "/x/sidestep", "0.1.0");
  assert.match(
    problem ?? "",
    /Sidestep 3\.0\.0 at \/x\/sidestep speaks version 2 of the protocol; this extension, 0\.1\.0, speaks version 1/,
  );
});

test("a server that shares no version says so by leaving its capability out", () => {
  const { problem } = shakeHands(
    { capabilities: {}, serverInfo: { name: "sidestep", version: "9.0.0" } },
    "/x",
    "0.1.0",
  );
  assert.match(problem ?? "", /Sidestep 9\.0\.0 at \/x shares no version/);
});

for (const nonsense of [undefined, null, 7, {}, { capabilities: null }, { capabilities: { experimental: [] } }]) {
  test(`an answer of ${JSON.stringify(nonsense)} is no handshake`, () => {
    assert.ok(shakeHands(nonsense, "/x", "0.1.0").problem);
  });
}

test("a refusal is known by its stable word, whatever its message", () => {
  const refusal = refusalOf({
    code: -31006,
    message: "not trusted",
    data: { reason: "workspaceUntrusted", folder: "/x" },
  });
  assert.deepEqual([refusal.reason, refusal.message, refusal.data.folder], ["workspaceUntrusted", "not trusted", "/x"]);
});

test("an error without data is a lost connection, unless it is a cancelled request", () => {
  assert.equal(refusalOf(new Error("Connection got disposed.")).reason, "connection");
  assert.equal(refusalOf({ code: -32800, message: "request cancelled" }).reason, "requestCancelled");
  assert.equal(
    refusalOf({ code: -32097, message: "Pending response rejected" }).message,
    "the server ended before it answered",
  );
  assert.equal(refusalOf("nonsense").message, "nonsense");
});
