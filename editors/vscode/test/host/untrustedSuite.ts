/** In a folder that nobody trusts: scripts are checked, nothing runs, and nobody is asked twice. */
import * as assert from "node:assert/strict";
import * as vscode from "vscode";
import { refusalOf } from "../../src/client/problem";
import { extension, folder, inFolder, until, untilState } from "./support";

export function untrustedSuite(): void {
  it("has static features only in an untrusted workspace", async () => {
    assert.equal(vscode.workspace.isTrusted, false);
    const api = await extension();
    await untilState(api, "running");
    const uri = inFolder(".sidestep/workflows/broken.py");
    await vscode.window.showTextDocument(uri);
    const look = (): vscode.Diagnostic | undefined => vscode.languages.getDiagnostics(uri).at(0);
    const diagnostic = await until("a diagnostic", look, (check) => vscode.languages.onDidChangeDiagnostics(check));
    assert.equal(diagnostic.source, "sidestep");
  });

  it("refuses to start a run, whoever asks", async () => {
    const api = await extension();
    const params = { script: { name: "repo-report" }, workspaceFolder: folder().uri.toString() };
    const refused = await api.sidecar.request("workflow/start", params).then(
      () => "started",
      (error: unknown) => refusalOf(error).reason,
    );
    assert.equal(refused, "workspaceUntrusted");
  });
}
