"""The runs of open scripts: read once, then kept by commits; what failed until it goes on or a newer run ends well."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from sidestep.lsp.script_runs import ScriptRuns, script_path
from sidestep.model.errors import StoreUnavailable
from sidestep.model.ports import Committed, Deleted
from sidestep.model.run import Failure, FailureCode, RunRecord, RunStatus, StepRecord, StepStatus
from sidestep.settings import Settings
from tests.support.plain_editor import FILE, SCRIPT, FakeService, a_run

if TYPE_CHECKING:
    from collections.abc import Callable

    from sidestep.scripts.folder import FolderKey

SOURCE = 'from sidestep import command\nasync def main():\n    await command(["false"], id="two")\n'
FAILED = a_run(status=RunStatus.FAILED, error=Failure(FailureCode.STEP, "oh no", step_id="two", line=3))


class FakeSide:
    """What knows of runs; also the editor's part and its reports, which it pretends to write."""

    def __init__(self) -> None:
        self.folders: list[FolderKey] = []
        self.fake = FakeService()
        self.editor = self.reports = self
        self.is_away = False

    async def service(self) -> FakeService:
        if self.is_away:
            raise StoreUnavailable("the store is away", "wait")
        return self.fake

    async def write(self, run: RunRecord) -> str:
        return f"file:///reports/{run.run_id}.md"


class Desk:
    """The runs of one open script, and what was told of them."""

    def __init__(self, *stored: RunRecord) -> None:
        self.side = FakeSide()
        self.store = self.side.fake.store
        self.store.runs = list(stored)
        self.store.source = SOURCE
        self.news: asyncio.Queue[tuple[str, bool]] = asyncio.Queue()
        self.runs = ScriptRuns(self._load, Settings())  # type: ignore[arg-type]
        self.runs.listen(lambda path, problems: self.news.put_nowait((path, problems)))

    async def _load(self) -> FakeSide:
        return self.side

    async def opened(self) -> Desk:
        self.runs.watch(SCRIPT)
        await self.runs.known(SCRIPT)
        return self

    def commit(self, run: RunRecord) -> None:
        for told in self.side.fake.listeners.told:
            told(Committed(run, ()))

    async def until(self, holds: Callable[[], bool]) -> None:
        while not holds():
            await self.news.get()

    @property
    def ids(self) -> list[str]:
        return [run.run_id for run in self.runs.runs(SCRIPT)]


async def test_stored_runs_of_the_script_are_read_once_newest_first() -> None:
    other = a_run("run_3", file=".sidestep/workflows/other/build.py")
    desk = await Desk(a_run("run_1"), a_run("run_2"), other).opened()
    assert desk.ids == ["run_2", "run_1"]
    await desk.runs.known(SCRIPT)
    assert desk.store.reads == ["runs"]


async def test_commits_are_told_and_keep_the_order() -> None:
    desk = await Desk(a_run("run_1")).opened()
    desk.commit(a_run("run_2", RunStatus.RUNNING))
    desk.commit(a_run("run_1", label="changed"))
    assert desk.ids == ["run_2", "run_1"]
    assert desk.runs.runs(SCRIPT)[1].label == "changed"
    assert (SCRIPT, False) in [desk.news.get_nowait() for _ in range(desk.news.qsize())]


@pytest.mark.parametrize(
    "other",
    [a_run("run_2", file="<inline>"), a_run("run_2", file=None), a_run("run_2", root_run_id="run_9")],
    ids=["inline", "no file", "nested"],
)
async def test_runs_of_other_things_change_nothing(other: RunRecord) -> None:
    desk = await Desk().opened()
    desk.commit(other)
    assert desk.ids == []


async def test_a_deleted_run_is_gone() -> None:
    desk = await Desk(a_run("run_1"), a_run("run_2")).opened()
    for deleted in desk.side.fake.listeners.deleted:
        deleted(Deleted("run_2", "/w"))
    assert desk.ids == ["run_1"]


async def test_nothing_is_known_of_a_script_that_was_closed() -> None:
    desk = await Desk(a_run("run_1")).opened()
    desk.runs.unwatch(SCRIPT)
    desk.commit(a_run("run_2"))
    assert desk.ids == []


async def test_a_failed_run_is_told_with_its_text_read_and_its_report() -> None:
    desk = await Desk(FAILED).opened()
    await desk.until(lambda: desk.runs.failed(SCRIPT) is not None)
    failed = desk.runs.failed(SCRIPT)
    assert failed is not None
    assert (failed.run, failed.report_uri) == (FAILED, "file:///reports/run_1.md")
    # Read already: the check of each key must not do it on the event loop.
    assert "call_sites" in vars(failed.ran)


@pytest.mark.parametrize(
    ("then", "stays"),
    [
        (a_run(status=RunStatus.RUNNING, epoch=2), False),
        (a_run("run_2", RunStatus.COMPLETED), False),
        (a_run("run_2", RunStatus.RUNNING), True),
        (a_run("run_2", RunStatus.INTERRUPTED), True),
    ],
    ids=["goes on", "newer ended well", "newer runs", "newer interrupted"],
)
async def test_a_failed_run_is_told_until_it_goes_on_or_a_newer_one_ends_well(then: RunRecord, stays: bool) -> None:
    desk = await Desk(FAILED).opened()
    await desk.until(lambda: desk.runs.failed(SCRIPT) is not None)
    desk.commit(then)
    assert (desk.runs.failed(SCRIPT) is not None) == stays


async def test_a_failure_is_read_once_for_each_time_it_fails() -> None:
    desk = await Desk(FAILED).opened()
    await desk.until(lambda: desk.runs.failed(SCRIPT) is not None)
    desk.commit(a_run("run_2", RunStatus.RUNNING))
    desk.commit(FAILED)
    assert desk.store.reads.count("source") == 1


async def test_without_a_store_there_are_no_runs_and_later_there_are() -> None:
    desk = Desk(a_run("run_1"))
    desk.side.is_away = True
    await desk.opened()
    assert desk.ids == []
    desk.side.is_away = False
    assert [run.run_id for run in await desk.runs.known(SCRIPT)] == ["run_1"]


async def test_nobody_waits_for_a_store_that_does_not_answer() -> None:
    never: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

    async def load() -> Any:
        return await never

    runs = ScriptRuns(load, Settings(script_runs_wait_s=0.0))
    runs.watch(SCRIPT)
    assert await runs.known(SCRIPT) == ()
    runs.close()


@pytest.mark.parametrize(
    ("status", "step", "expected"),
    [
        (RunStatus.INTERRUPTED, StepStatus.COMPLETED, ("completed", 40, True)),
        (RunStatus.INTERRUPTED, StepStatus.STARTED, ("interrupted", None, False)),
        (RunStatus.COMPLETED, StepStatus.COMPLETED, ("completed", 40, None)),
        (RunStatus.RUNNING, StepStatus.STARTED, ("started", None, None)),
    ],
)
async def test_steps_of_the_last_run_say_whether_they_will_be_reused(
    status: RunStatus, step: StepStatus, expected: tuple[str, int | None, bool | None]
) -> None:
    desk = await Desk(a_run(status=status)).opened()
    ended = 50 if step is StepStatus.COMPLETED else None
    known: dict[str, Any] = {"kind": "command", "attempt": 1, "claim_epoch": 1, "sequence": 2}
    desk.store.steps = [StepRecord(step_id="s", key="k", status=step, started_at_ms=10, ended_at_ms=ended, **known)]
    await desk.runs.steps_known(SCRIPT)
    await desk.runs.steps_known(SCRIPT)
    (memory,) = desk.runs.steps(SCRIPT)
    assert (memory.status, memory.duration_ms, memory.is_reused) == expected
    assert desk.store.reads.count("steps") == 1


def test_the_path_of_a_script() -> None:
    assert script_path(a_run(file=FILE)) == SCRIPT
    assert script_path(a_run(file="/home/me/.sidestep/build.py")) == "/home/me/.sidestep/build.py"
    assert script_path(a_run(file="<ad hoc>")) is None
