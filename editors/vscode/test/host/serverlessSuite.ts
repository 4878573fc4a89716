/** Where there is no server: the extension says so, and goes on living. */
import * as assert from "node:assert/strict";
import * as vscode from "vscode";
import { refusalOf } from "../../src/client/problem";
import { extension, folder, untilState } from "./support";

export function serverlessSuite(): void {
  it("says that the program of the setting cannot be started", async () => {
    const api = await extension();
    await untilState(api, "stopped");
    const { state } = api.sidecar;
    assert.ok(state.kind === "stopped");
    assert.match(state.problem ?? "", /\/nowhere\/sidestep \(setting sidestep\.server\.path\): not there/);
  });

  it("refuses requests with the same reason, at once", async () => {
    const api = await extension();
    const refused = await api.sidecar.request("workflow/list", { workspaceFolder: folder().uri.toString() }).then(
      () => undefined,
      (error: unknown) => refusalOf(error),
    );
    assert.equal(refused?.reason, "connection");
    assert.match(refused?.message ?? "", /nowhere/);
  });

  it("has its commands all the same", async () => {
    const commands = await vscode.commands.getCommands(true);
    for (const name of ["runWorkflow", "restartServer", "showLog", "openRun"])
      assert.ok(commands.includes(`sidestep.${name}`));
  });
}
