// The least server that Microsoft's vscode-jsonrpc makes, for comparison: `bench/ping` answers `{}`; `bench/push`
// sends `count` notifications, `bench/nothing` one.
"use strict";

const { createMessageConnection, StreamMessageReader, StreamMessageWriter } = require("vscode-jsonrpc/node");

const LINE = "received notification bench/nothing";

const connection = createMessageConnection(
  new StreamMessageReader(process.stdin),
  new StreamMessageWriter(process.stdout),
);

connection.onRequest("initialize", () => ({ capabilities: {}, serverInfo: { name: "hello", version: "1" } }));
connection.onNotification("initialized", () => {});
connection.onRequest("bench/ping", () => ({}));
connection.onRequest("bench/push", async (params) => {
  const sent = [];
  for (let number = 0; number < params.count; number++) {
    sent.push(connection.sendNotification("bench/line", { message: LINE }));
  }
  await Promise.all(sent);
  return {};
});
connection.onNotification("bench/nothing", () => connection.sendNotification("bench/line", { message: LINE }));
connection.listen();
