"""Group `robustness`, second half: what is refused, and what asking twice does. See README.md, "Errors"."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sidestep_protocol.conformance.answers import result_of
from sidestep_protocol.conformance.check import check, must, must_equal

if TYPE_CHECKING:
    from sidestep_protocol.conformance.trial import Trial

_UNKNOWN_RUN = "run_aaaaaaaaaaaaaaaa"


@check("Errors", "start")
async def a_refused_start_says_why_and_stores_nothing(trial: Trial) -> None:
    """A start that cannot be is refused with its reason and what it takes to mend it, and no run is made."""
    server = await trial.server()
    unknown = {"script": {"name": "no-such-script-anywhere"}}
    error = await server.refusal("scriptNotFound", "workflow/start", unknown)
    must(isinstance(error["data"].get("near"), list), "data.near", error["data"])
    broken = trial.start_params("async def main():\n    return )\n")
    error = await server.refusal("scriptInvalid", "workflow/start", broken)
    must(bool(error["data"].get("diagnostics")), "data.diagnostics", error["data"])
    wrong = trial.start_params(trial.quick(), args={"n": "text", "m": 1})
    error = await server.refusal("argsInvalid", "workflow/start", wrong)
    problems = {problem["path"] for problem in error["data"]["problems"]}
    must_equal(problems, {"/n", "/m"}, "the paths of data.problems")
    unusable: tuple[dict[str, Any], ...] = ({}, {"script": {}}, trial.start_params(trial.quick(), mode="sideways"))
    for params in unusable:
        error = await server.refusal("invalidParams", "workflow/start", params)
        must(str(error["data"].get("path", "")).startswith("$"), "data.path from $", error["data"])
    runs = (await server.result("workflow/list", {"name": trial.name, "workspaceFolder": server.folder_uri}))["runs"]
    must_equal(runs, [], "the runs that were made")


@check("Errors")
async def an_unknown_run_is_told(trial: Trial) -> None:
    """Every method that names a run answers runNotFound when it is not there."""
    server = await trial.server()
    for method in ("get", "steps", "events", "interrupt", "resume", "retry", "background", "delete"):
        await server.refusal("runNotFound", f"workflow/{method}", {"runId": _UNKNOWN_RUN})


@check("Errors", "start", "interrupt")
async def a_run_refuses_what_its_status_does_not_allow(trial: Trial) -> None:
    """An active run is not deleted, and a completed one is not retried: invalidTransition."""
    server = await trial.server()
    number, run_id = await trial.begin_gated(server)
    await server.refusal("invalidTransition", "workflow/delete", {"runId": run_id})
    trial.gate.open()
    result_of(await server.response(number), "workflow/start")
    await server.refusal("invalidTransition", "workflow/retry", {"runId": run_id})


@check("workflow/interrupt", "start", "interrupt")
async def an_interrupt_of_what_has_ended_changes_nothing(trial: Trial) -> None:
    """An interrupt of a completed run says alreadyTerminal; interrupting twice appends nothing."""
    server = await trial.server()
    outcome = await server.result("workflow/start", trial.start_params(trial.quick()))
    done: dict[str, Any] = await server.result("workflow/interrupt", {"runId": outcome["runId"]})
    seen = (done["status"], done["alreadyTerminal"], done["sequence"])
    must_equal(seen, ("completed", True, outcome["sequence"]), "status, alreadyTerminal and sequence")
    number, run_id = await trial.begin_gated(server)
    await server.result("workflow/interrupt", {"runId": run_id})
    await server.response(number)
    before = await trial.journal(server, run_id)
    again = await server.result("workflow/interrupt", {"runId": run_id})
    must_equal((again["status"], again["alreadyTerminal"]), ("interrupted", False), "status and alreadyTerminal")
    must_equal(await trial.journal(server, run_id), before, "the journal after a second interrupt")


@check("workflow/start", "start")
async def a_start_key_finds_its_run_again(trial: Trial) -> None:
    """The same start key finds the same run, waiting or stopped; with other arguments it is startKeyConflict."""
    server = await trial.server()
    first, run_id = await trial.begin_gated(server, startKey=trial.name)
    second = trial.start(server, trial.gated(), startKey=trial.name)
    other = trial.start_params(trial.gated(), startKey=trial.name, args={"n": 2})
    await server.refusal("startKeyConflict", "workflow/start", other)
    trial.gate.open()
    outcomes = [result_of(await server.response(number), "workflow/start") for number in (first, second)]
    must_equal([outcome["runId"] for outcome in outcomes], [run_id, run_id], "the runs of both starts")
    background = trial.start_params(trial.gated(), startKey=trial.name, mode="background")
    again = await server.result("workflow/start", background)
    must_equal((again["runId"], again["created"]), (run_id, False), "runId and created of a third start")
    must_equal(trial.gate.done(), ["first", "gated", "last"], "the work that was done")


@check("workflow/list", "start", "list")
async def runs_are_listed_page_by_page(trial: Trial) -> None:
    """Runs are listed newest first, a page at a time, and a deleted run is told and gone."""
    server = await trial.server()
    source = "async def main():\n    return 'at once'\n"
    made = [(await server.result("workflow/start", trial.start_params(source)))["runId"] for _ in range(3)]
    wanted = {"name": trial.name, "workspaceFolder": server.folder_uri, "limit": 2}
    page = await server.result("workflow/list", wanted)
    rest = await server.result("workflow/list", {**wanted, "cursor": page["nextCursor"]})
    listed = [run["runId"] for run in page["runs"] + rest["runs"]]
    must_equal(listed, made[::-1], "the runs, newest first")
    must_equal(rest["nextCursor"], None, "nextCursor of the last page")
    await server.result("workflow/delete", {"runId": made[0]})
    await server.notified("workflow/deleted", runId=made[0])
    await server.refusal("runNotFound", "workflow/get", {"runId": made[0]})


CHECKS = (
    a_refused_start_says_why_and_stores_nothing,
    an_unknown_run_is_told,
    a_run_refuses_what_its_status_does_not_allow,
    an_interrupt_of_what_has_ended_changes_nothing,
    a_start_key_finds_its_run_again,
    runs_are_listed_page_by_page,
)
