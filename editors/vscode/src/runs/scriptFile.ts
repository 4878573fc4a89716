/** The script that a run was made of, as far as it is there under its name today. */
import type { RunDetail, ScriptInfo } from "../../../../protocol/schema/sidestep";
import type { Sidecar } from "../client/sidecar";

export async function scriptOf(sidecar: Sidecar, run: RunDetail): Promise<ScriptInfo | undefined> {
  const { scripts } = await sidecar.request("workflow/scripts", { workspaceFolder: run.workspaceFolder });
  return scripts.find((script) => script.name === run.name);
}
