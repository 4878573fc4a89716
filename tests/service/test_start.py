"""Starting runs: S1, S2, S3, S4, S5, S6, S7, S8, S9, S10, R1, R2, R3."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING

import pytest

from sidestep.lsp import convert
from sidestep.model.abort import AbortController, AbortKind, AbortReason
from sidestep.model.errors import (
    ArgsInvalid,
    Draining,
    Overloaded,
    RequestCancelled,
    ScriptInvalid,
    ScriptNotFound,
    StartKeyConflict,
    WorkspaceUntrusted,
)
from sidestep.model.ports import Committed, RunFilter
from sidestep.model.run import Attention, FailureCode, RunResult, RunStatus
from sidestep.scripts.resolver import FileScript, NamedScript
from sidestep.settings import Settings
from sidestep.store.location import store_location
from sidestep.store.results import read_result_text
from sidestep.store.sqlite import SqliteRunStore
from tests.support.fake_clock import FakeClock
from tests.support.service_harness import ONE_STEP, Harness, noting, patient

if TYPE_CHECKING:
    from pathlib import Path

    from sidestep.model.run import RunRecord
    from sidestep.scripts.folder import FolderKey
    from sidestep.scripts.resolver import ResolvedScript, ScriptReference
    from sidestep.store.location import StoreLocation

CANCELLED = AbortReason(AbortKind.CANCELLED)

TWO_STEPS = """
from sidestep import command

async def main():
    await command(["a"], id="first")
    await command(["b"], id="second")
    return "done"
"""

WITH_ARGS = """
from sidestep import command

async def main(task: str, rounds: int = 3):
    return task
"""

BUSY = """
async def main():
    while True:
        pass
"""


async def stored(h: Harness) -> int:
    return len((await h.store.list_runs(RunFilter(), cursor=None, limit=100)).items)


async def test_s1_an_untrusted_folder_is_refused_and_nothing_is_stored(tmp_path: Path) -> None:
    async with Harness(tmp_path, trusted=False) as h:
        with pytest.raises(WorkspaceUntrusted):
            await h.start()
        assert await stored(h) == 0
        assert h.commands.calls == []


async def test_s1_unknown_script_is_refused_with_the_nearest_name(tmp_path: Path) -> None:
    async with Harness(tmp_path) as h:
        with pytest.raises(ScriptNotFound) as refused:
            await h.start(script=NamedScript("repo-reprot"))
        assert refused.value.near == ("repo-report",)
        assert await stored(h) == 0


async def test_s1_a_script_with_errors_is_refused_with_line_and_column(tmp_path: Path) -> None:
    async with Harness(tmp_path) as h:
        with pytest.raises(ScriptInvalid) as refused:
            await h.start("async def main():\n    return 1 +\n")
        assert [(problem.line, problem.severity) for problem in refused.value.problems] == [(2, "error")]
        assert await stored(h) == 0


async def test_s1_every_argument_that_does_not_fit_is_listed_with_its_path(tmp_path: Path) -> None:
    async with Harness(tmp_path) as h:
        with pytest.raises(ArgsInvalid) as refused:
            await h.start(WITH_ARGS, args={"rounds": "many", "taks": "x"})
        assert {problem.path for problem in refused.value.problems} == {"/task", "/rounds", "/taks"}
        assert await stored(h) == 0


async def test_s1_a_refused_start_gives_its_place_back(tmp_path: Path) -> None:
    async with Harness(tmp_path, settings=Settings(active_runs_max=1)) as h:
        for _ in range(2):
            with pytest.raises(ScriptInvalid):
                await h.start("async def main(:")
            with pytest.raises(ArgsInvalid):
                await h.start(WITH_ARGS)
        assert len(h.service.runs) == 0
        await h.completed()


async def test_d3_trust_that_is_withdrawn_while_the_script_is_read_refuses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """S1, D3: it is looked at once, so whoever withdraws it afterwards has to find the run."""
    async with Harness(tmp_path) as h:
        resolve = h.library.resolve

        async def and_withdraw(reference: ScriptReference, folder: FolderKey) -> ResolvedScript:
            script = await resolve(reference, folder)
            await h.service.trust([h.folder], trusted=False, remember=False)
            return script

        monkeypatch.setattr(h.library, "resolve", and_withdraw)
        with pytest.raises(WorkspaceUntrusted):
            await h.start()
        assert await stored(h) == 0
        assert len(h.service.runs) == 0
        assert h.commands.calls == []


async def test_s1_a_drain_that_begins_while_the_script_is_read_refuses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with Harness(tmp_path) as h:
        resolve = h.library.resolve
        drained = asyncio.Event()

        async def drain() -> None:
            await h.service.drain(AbortReason(AbortKind.SHUTDOWN))
            drained.set()

        async with asyncio.TaskGroup() as group:

            async def and_drain(reference: ScriptReference, folder: FolderKey) -> ResolvedScript:
                script = await resolve(reference, folder)
                group.create_task(drain())
                await h.service.runs.draining.signal.wait()
                return script

            monkeypatch.setattr(h.library, "resolve", and_drain)
            with pytest.raises(Draining):
                await h.start()
            await drained.wait()
        assert await stored(h) == 0


async def test_s1_a_draining_server_refuses(tmp_path: Path) -> None:
    async with Harness(tmp_path) as h:
        await h.service.drain(AbortReason(AbortKind.SHUTDOWN))
        with pytest.raises(Draining):
            await h.start()
        assert await stored(h) == 0


async def test_s1_the_run_beyond_the_limit_is_refused(tmp_path: Path) -> None:
    async with Harness(tmp_path, settings=Settings(active_runs_max=1)) as h:
        await h.running(ONE_STEP, "only")
        with pytest.raises(Overloaded):
            await h.start()
        assert await stored(h) == 1


async def test_s2_order_of_a_foreground_start(tmp_path: Path) -> None:
    async with Harness(tmp_path) as h:
        record = await h.completed()
        assert h.trace == [
            "told status:pending",
            "told status:running",
            "told step:started:only",
            "told step:completed:only",
            "told result",
            "told status:completed",
            "reply",
        ]
        assert [committed.record.sequence for committed in h.committed][-1] == record.sequence == 6


async def test_s2_the_run_id_is_announced_before_anything_is_durable(tmp_path: Path) -> None:
    async with Harness(tmp_path) as h:
        seen: list[tuple[str, int]] = []
        record = await h.completed(on_run=noting(lambda run_id: seen.append((run_id, len(h.committed)))))
        assert seen == [(record.run_id, 0)]


async def test_s3_a_background_start_is_answered_after_the_durable_create_and_goes_on(tmp_path: Path) -> None:
    async with Harness(tmp_path) as h:
        h.commands.held.add("only")
        started = await h.start(**patient())
        assert started.created
        assert h.trace[0] == "told status:pending"
        assert started.record.attention is Attention.NOTIFY_ON_TERMINAL
        await h.commands.called("only")
        h.commands.finish("only")
        ended = await h.status(started.record.run_id, RunStatus.COMPLETED)
        assert ended.attention is Attention.NOTIFY_ON_TERMINAL


async def test_s3_cancelling_a_background_start_after_the_create_does_not_interrupt(tmp_path: Path) -> None:
    async with Harness(tmp_path) as h:
        caller = AbortController()
        started = await h.start(signal=caller, **patient())
        caller.abort(CANCELLED)
        await h.status(started.record.run_id, RunStatus.COMPLETED)


async def test_s4_an_abort_before_the_create_stores_no_run(tmp_path: Path) -> None:
    async with Harness(tmp_path) as h:
        caller = AbortController()
        caller.abort(CANCELLED)
        with pytest.raises(RequestCancelled) as cancelled:
            await h.start(signal=caller)
        assert cancelled.value.outcome == {"runId": None}
        assert await stored(h) == 0


async def test_s4_an_abort_during_the_create_leaves_an_interrupted_run_and_no_executor_called(tmp_path: Path) -> None:
    async with Harness(tmp_path) as h:
        caller = AbortController()
        with pytest.raises(RequestCancelled) as cancelled:
            await h.start(signal=caller, on_run=noting(lambda _: caller.abort(CANCELLED)))
        outcome = cancelled.value.outcome
        assert outcome["status"] == "interrupted"
        assert outcome["resumable"] is True
        assert outcome["quiescent"] is True
        assert await h.kinds(outcome["runId"]) == ["status:pending", "status:running", "status:interrupted"]
        assert h.commands.calls == []
        record = await h.store.read(outcome["runId"])
        assert (record.reason, record.owner) == ("cancelled", None)


@pytest.mark.parametrize("moment", ["told status:pending", "told status:running", "told step:started:first"])
async def test_s5_an_abort_at_any_point_ends_interrupted_with_nothing_after_it(tmp_path: Path, moment: str) -> None:
    async with Harness(tmp_path) as h:
        caller = AbortController()
        h.commands.held.add("first")

        def abort_at(committed: Committed) -> None:
            if h.trace[-1:] == [moment]:
                caller.abort(CANCELLED)

        h.service.listeners.listen(abort_at)
        with pytest.raises(RequestCancelled) as cancelled:
            await h.start(TWO_STEPS, signal=caller)
        kinds = await h.kinds(cancelled.value.outcome["runId"])
        assert kinds[-1] == "status:interrupted"
        assert kinds.count("status:interrupted") == 1
        assert h.commands.count("second") == 0


async def test_s5_an_abort_between_two_steps(tmp_path: Path) -> None:
    async with Harness(tmp_path) as h:
        caller = AbortController()

        def abort_at(committed: Committed) -> None:
            if h.trace[-1:] == ["told step:completed:first"]:
                caller.abort(CANCELLED)

        h.service.listeners.listen(abort_at)
        with pytest.raises(RequestCancelled) as cancelled:
            await h.start(TWO_STEPS, signal=caller)
        kinds = await h.kinds(cancelled.value.outcome["runId"])
        assert kinds[-2:] == ["step:completed:first", "status:interrupted"]


async def test_s5_an_abort_in_a_busy_loop(tmp_path: Path) -> None:
    async with Harness(tmp_path) as h:
        caller = AbortController()
        task = h.start(BUSY, signal=caller)
        await h.told("told status:running")
        caller.abort(CANCELLED)
        with pytest.raises(RequestCancelled) as cancelled:
            await task
        assert cancelled.value.outcome["status"] == "interrupted"


async def test_s6_an_abort_after_a_terminal_state_is_durable_gives_the_result(tmp_path: Path) -> None:
    async with Harness(tmp_path) as h:
        caller = AbortController()

        def abort_at(committed: Committed) -> None:
            if committed.record.status is RunStatus.COMPLETED:
                caller.abort(CANCELLED)

        h.service.listeners.listen(abort_at)
        started = await h.start(signal=caller)
        assert started.record.status is RunStatus.COMPLETED
        assert (await h.kinds(started.record.run_id))[-1] == "status:completed"


async def test_s7_one_start_key_sent_ten_times_makes_one_run_and_each_caller_gets_it(tmp_path: Path) -> None:
    async with Harness(tmp_path) as h:
        h.commands.held.add("only")
        tasks = [h.start(start_key="k") for _ in range(10)]
        await h.commands.called("only")
        h.commands.finish("only")
        answers = await asyncio.gather(*tasks)
        assert len({answer.record.run_id for answer in answers}) == 1
        assert sum(answer.created for answer in answers) == 1
        assert {answer.record.status for answer in answers} == {RunStatus.COMPLETED}
        assert h.commands.count("only") == 1
        again = await h.start(start_key="k")
        assert (again.created, again.record.run_id) == (False, answers[0].record.run_id)


async def test_s7_cancelling_one_of_ten_callers_leaves_nine_waiting(tmp_path: Path) -> None:
    async with Harness(tmp_path) as h:
        h.commands.held.add("only")
        callers = [AbortController() for _ in range(10)]
        tasks = [h.start(start_key="k", signal=caller) for caller in callers]
        await h.commands.called("only")
        callers[0].abort(CANCELLED)
        with pytest.raises(RequestCancelled) as cancelled:
            await tasks[0]
        assert cancelled.value.outcome["detached"] is True
        assert cancelled.value.outcome["status"] == "running"
        h.commands.finish("only")
        answers = await asyncio.gather(*tasks[1:])
        assert {answer.record.status for answer in answers} == {RunStatus.COMPLETED}


async def test_s7_another_script_or_other_arguments_conflict(tmp_path: Path) -> None:
    async with Harness(tmp_path) as h:
        first = await h.start(WITH_ARGS, args={"task": "a"}, start_key="k")
        for other in (h.start(WITH_ARGS, args={"task": "b"}, start_key="k"), h.start(start_key="k")):
            with pytest.raises(StartKeyConflict) as conflict:
                await other
            assert conflict.value.run_id == first.record.run_id
        assert await stored(h) == 1


async def test_s7_a_start_key_survives_a_restart_of_the_service(tmp_path: Path) -> None:
    async with Harness(tmp_path) as h:
        first = await h.start(start_key="k")
        async with Harness(tmp_path, store=h.store, clock=h.clock) as later:
            again = await later.start(start_key="k")
            assert (again.created, again.record.run_id) == (False, first.record.run_id)


async def test_s8_a_listener_that_fails_never_affects_the_run(tmp_path: Path) -> None:
    async with Harness(tmp_path) as h:

        def broken(committed: Committed) -> None:
            raise RuntimeError("host went away")

        h.service.listeners.listen(broken)
        later: list[Committed] = []
        h.service.listeners.listen(later.append)
        await h.completed()
        assert [event.sequence for committed in later for event in committed.events] == [1, 2, 3, 4, 5, 6]


async def test_s9_a_script_error_fails_the_run_with_file_line_and_message(tmp_path: Path) -> None:
    script = tmp_path / "workspace" / "flow.py"
    async with Harness(tmp_path) as h:
        script.write_text("async def main():\n    values = {}\n    return values['missing']\n")
        started = await h.start(script=FileScript(script.as_uri()))
        error = started.record.error
        assert started.record.status is RunStatus.FAILED
        assert error is not None
        assert (error.code, error.line) == (FailureCode.SCRIPT, 3)
        assert error.message.startswith("KeyError")
        assert error.file is not None
        assert error.file.endswith("flow.py")


async def test_s10_the_signal_is_unwired_on_every_path_out(tmp_path: Path) -> None:
    async with Harness(tmp_path) as h:
        callers = [AbortController() for _ in range(4)]
        await h.start(signal=callers[0])
        await h.start("async def main():\n    return [][1]\n", signal=callers[1])
        await h.start(signal=callers[2], **patient())
        with pytest.raises(ScriptNotFound):
            await h.start(script=NamedScript("none"), signal=callers[3])
        assert [len(caller.signal._listeners) for caller in callers] == [0, 0, 0, 0]
        statuses = {r.run_id: r.status for r in (await h.store.list_runs(RunFilter(), cursor=None, limit=9)).items}
        for caller in callers:
            caller.abort(CANCELLED)
        after = {r.run_id: r.status for r in (await h.store.list_runs(RunFilter(), cursor=None, limit=9)).items}
        assert {k: v for k, v in after.items() if v is RunStatus.INTERRUPTED} == {}
        assert statuses.keys() == after.keys()


@pytest.mark.parametrize(
    ("returned", "report", "data"),
    [('"text"', "text", None), ('{"report": "r", "data": {"b": 1}}', "r", {"b": 1}), ("[1, 2]", None, [1, 2])],
)
async def test_r1_the_return_value_becomes_the_result(
    tmp_path: Path, returned: str, report: str | None, data: object
) -> None:
    async with Harness(tmp_path) as h:
        record = await h.completed(f"async def main():\n    return {returned}\n")
        assert record.result is not None
        assert record.result.report == report
        assert (None if record.result.data_json is None else json.loads(record.result.data_json)) == data


async def test_r2_a_result_that_is_not_json_fails_the_run_saying_where(tmp_path: Path) -> None:
    async with Harness(tmp_path) as h:
        started = await h.start("async def main():\n    return {'rows': [1, {2, 3}]}\n")
        assert started.record.status is RunStatus.FAILED
        assert started.record.error is not None
        assert "rows" in started.record.error.message
        assert "set" in started.record.error.message


async def test_r3_a_result_over_the_limit_stands_in_a_file(tmp_path: Path) -> None:
    settings = Settings(result_inline_bytes_max=1000)
    location = store_location(tmp_path / "r3.db", {})
    async with (
        SqliteRunStore(location, FakeClock(), settings) as store,
        Harness(tmp_path, store=store, settings=settings) as h,
    ):
        small = await h.completed("async def main():\n    return 'x' * 1000\n")
        assert small.result == RunResult(report="x" * 1000)
        record = await h.completed("async def main():\n    return {'report': 'ü' * 501, 'data': [1, None]}\n")
        assert record.result is not None
        assert record.result.file == str(location.results / f"{record.run_id}.json")
        told = convert.outcome(record).result
        assert told
        assert (told.report, told.uri) == (None, (location.results / f"{record.run_id}.json").as_uri())
        assert stored_result(location, record) == RunResult("ü" * 501, "[1,null]")
        await h.service.delete(record.run_id)
        with pytest.raises(FileNotFoundError):
            stored_result(location, record)


def stored_result(location: StoreLocation, record: RunRecord) -> RunResult:
    return read_result_text((location.results / f"{record.run_id}.json").read_text())
