"""
Runs that go on by themselves after a crash or the end of their host: which, where, how often, and what is told.

C2, C3, D3.
"""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest

from sidestep.model.events import StatusChanged
from sidestep.model.ports import RunFilter
from sidestep.model.run import RunStatus
from sidestep.model.writes import Background, Interrupt, Release
from sidestep.scripts.folder import FolderKey
from sidestep.service.automatic_resume import AutomaticResume
from sidestep.settings import Settings
from sidestep.store.memory_journal import MemoryJournal
from tests.contract.stores import OTHER_OWNER, SOURCE, new_run, running
from tests.support.fake_clock import FakeClock
from tests.support.held_store import HeldStore
from tests.support.service_harness import ONE_STEP, Harness, LivingOwners

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence
    from pathlib import Path

    from sidestep.model.ports import Page
    from sidestep.model.run import RunRecord
    from sidestep.service.automatic_resume import Recovered

# Seconds between two looks for dead owners.
PATROL_S = 0.5

TWO_STEPS = """
from sidestep import command

async def main():
    await command(["a"], id="first")
    await command(["b"], id="second")
"""


class NotingStore(HeldStore):
    """Remembers which rows were read, in order."""

    def __init__(self, *parts: Any) -> None:
        super().__init__(*parts)
        self.rows_read: list[str] = []

    async def read(self, run_id: str) -> RunRecord:
        self.rows_read.append(run_id)
        return await super().read(run_id)

    async def list_runs(self, run_filter: RunFilter, *, cursor: str | None, limit: int) -> Page[RunRecord]:
        page = await super().list_runs(run_filter, cursor=cursor, limit=limit)
        await self._pass("list_runs")
        return page


class Window(Harness):
    """A service of its own with folders open; `told` gets what became of the runs it found, batch by batch."""

    held: NotingStore

    def attend(self, *folders: FolderKey, begin: bool = True) -> None:
        """Open folders (the test's own when none is named) and go on with what was interrupted in them."""
        self.open_folders = set(folders or [self.folder])
        self.told_recovered: asyncio.Queue[Sequence[Recovered]] = asyncio.Queue()
        self.automatic = AutomaticResume(self.service, self.clock, self._is_open, self.told_recovered.put_nowait)
        self._stack.callback(self.automatic.close)
        if begin:
            self.automatic.begin(self.open_folders)

    async def crash(self, dead: set[str]) -> None:
        """Count as dead from the next look for dead owners on."""
        dead.add(self.owners.owner_id)
        await self.clock.sleeper(PATROL_S)
        self.clock.advance(PATROL_S)

    def _is_open(self, record: RunRecord) -> bool:
        return record.is_root and FolderKey(record.folder) in self.open_folders


class Machine:
    """Windows on one store, under one clock."""

    def __init__(self, tmp_path: Path, stack: AsyncExitStack) -> None:
        self.journal = MemoryJournal()
        self.clock = FakeClock()
        self.dead: set[str] = set()
        self._tmp_path = tmp_path
        self._stack = stack

    async def window(self, letter: str, **wanted: Any) -> Window:
        store = NotingStore(self.clock, wanted.get("settings") or Settings(), self.journal)
        store.watch(busy=True)
        owners = LivingOwners(f"owner-{letter}", self.dead)
        opened = Window(self._tmp_path, store=store, clock=self.clock, owners=owners, **wanted)
        opened.held = store
        opened.commands.held |= {"only", "second"}
        return await self._stack.enter_async_context(opened)

    def folder(self, name: str) -> FolderKey:
        path = self._tmp_path / name
        path.mkdir()
        return FolderKey.existing(str(path))


@asynccontextmanager
async def machine(tmp_path: Path) -> AsyncIterator[Machine]:
    async with AsyncExitStack() as stack:
        yield Machine(tmp_path, stack)


async def started(window: Window, source: str = ONE_STEP, step_id: str = "only", **wanted: Any) -> str:
    """A run whose step is being done; its request is let go of."""
    window.commands.held.add(step_id)
    before = window.commands.count(step_id)
    task = window.start(source, **wanted)
    task.add_done_callback(lambda done: done.cancelled() or done.exception())
    await window.commands.called(step_id, before + 1)
    return window.commands.calls[-1].run_id


async def interrupted(window: Window, reason: str, **wanted: Any) -> str:
    """A quiescent run that stopped for a reason, one second after the one before."""
    window.clock.advance(1)
    run_id = await started(window, **wanted)
    active = window.service.runs.get(run_id)
    assert active is not None
    await window.store.write(Interrupt(run_id, reason))
    await active.quiescent.wait()
    return run_id


def messages(recovered: Sequence[Recovered]) -> list[str]:
    return [each.message for each in recovered]


async def claims(window: Window, run_id: str) -> list[str | None]:
    """How the run became running again, each time."""
    bodies = [event.body for event in await window.events(run_id)]
    return [body.how for body in bodies if isinstance(body, StatusChanged) and body.how is not None]


async def test_c2_three_windows_two_folders_each_run_is_resumed_once_by_the_right_one(tmp_path: Path) -> None:
    async with machine(tmp_path) as m:
        a, b, c = [await m.window(letter) for letter in "abc"]
        other = m.folder("other")
        for window in (a, b, c):
            window.library.trust_for_session([other])
        b.attend(b.folder)
        c.attend(b.folder, other)
        here, there = await started(a), await started(a, folder=other)
        await a.crash(m.dead)
        await c.told_recovered.get()
        for run_id in (here, there):
            await b.status(run_id, RunStatus.RUNNING)
            assert await claims(b, run_id) == ["automatic"]
        owner = (await b.store.read(here)).owner
        assert owner is not None
        if owner.owner_id == "owner-b":
            await b.commands.called("only")
        await c.commands.called("only", 1 if owner.owner_id == "owner-b" else 2)
        calls = [(w.owners.owner_id, call.run_id) for w in (b, c) for call in w.commands.calls]
        assert sorted(calls) == sorted([(owner.owner_id, here), ("owner-c", there)])


async def test_c2_a_crash_that_another_process_marked_is_noticed(tmp_path: Path) -> None:
    """Whoever has the folder open goes on with the run, whoever found its owner dead."""
    async with machine(tmp_path) as m:
        a, b = await m.window("a"), await m.window("b")
        run_id = await started(a, TWO_STEPS, "second")
        b.attend()
        # `a` itself is first to look, and marks its own run.
        await a.crash(m.dead)
        recovered = await b.told_recovered.get()
        assert messages(recovered) == ["test: Resumed after a crash: 1 of 2 steps kept"]
        assert [(r.resumed, r.is_news, r.record.status) for r in recovered] == [(True, True, RunStatus.RUNNING)]
        await b.commands.called("second")
        assert "log:Resumed after a crash: 1 of 2 steps kept" in await b.kinds(run_id)
        assert b.commands.count("first") == 0


async def test_c2_what_a_dead_owner_left_shows_as_interrupted_in_the_first_list(tmp_path: Path) -> None:
    """Pending, running and backgrounded runs alike."""
    async with machine(tmp_path) as m:
        a = await m.window("a")
        await a.store.create(new_run(1, owner=OTHER_OWNER), SOURCE)
        await running(a.store, 2, owner=OTHER_OWNER)
        await running(a.store, 3, owner=OTHER_OWNER)
        await a.store.write(Background(new_run(3).run_id))
        m.dead.add(OTHER_OWNER.owner_id)
        b = await m.window("b")
        listed = (await b.store.list_runs(RunFilter(), cursor=None, limit=10)).items
        assert [(run.status, run.reason, run.is_quiescent) for run in listed] == [
            (RunStatus.INTERRUPTED, "crash", True)
        ] * 3


async def test_c2_what_was_found_at_the_start_goes_on_when_the_client_is_ready(tmp_path: Path) -> None:
    """Nothing before `begin`; then also the crash that was noticed in between."""
    async with machine(tmp_path) as m:
        a = await m.window("a")
        first = await started(a)
        m.dead.add("owner-a")
        b = await m.window("b")
        assert [record.run_id for record in b.service.recovered] == [first]
        b.attend(begin=False)
        c = await m.window("c")
        second = await started(c)
        await c.crash(m.dead)
        await b.status(second, RunStatus.INTERRUPTED)
        # Time enough for whoever would begin too early.
        await b.completed("async def main():\n    return 1\n")
        assert b.commands.calls == []
        assert await claims(b, second) == []
        b.automatic.begin([b.folder])
        recovered = await b.told_recovered.get()
        assert [(r.record.run_id, r.resumed) for r in recovered] == [(first, True), (second, True)]


@pytest.mark.parametrize("makes_progress", [False, True])
async def test_c2_three_attempts_that_finished_no_step_end_it_and_say_why(tmp_path: Path, makes_progress: bool) -> None:
    async with machine(tmp_path) as m:
        window = await m.window("a")
        run_id = await started(window, TWO_STEPS, "second" if not makes_progress else "first")
        for attempt, letter in enumerate("bcd", start=1):
            crashed, window = window, await m.window(letter)
            window.attend()
            if makes_progress and attempt < 3:
                window.commands.held.add("first")
            await crashed.crash(m.dead)
            assert [r.resumed for r in await window.told_recovered.get()] == [True]
            await window.commands.called("first" if makes_progress and attempt < 3 else "second")
            window.automatic.close()
        assert await claims(window, run_id) == ["automatic"] * 3
        last = await m.window("e")
        last.attend()
        await window.crash(m.dead)
        recovered = await last.told_recovered.get()
        if makes_progress:
            assert messages(recovered) == ["test: Resumed after a crash: 1 of 2 steps kept"]
            return
        why = "three attempts in a row finished no new step; resume it by hand"
        assert [(r.message, r.is_news) for r in recovered] == [(f"test was not resumed: {why}", True)]
        assert last.commands.calls == []
        # By hand it goes on, and begins to count anew.
        resuming = last.resume(run_id)
        last.commands.finish("second")
        assert (await resuming).automatic_resumes == 0


@pytest.mark.parametrize(
    ("wanted", "why"),
    [
        ({"auto_resume": False}, "it was started from the command line, or by a host that resumes by hand"),
        ({"deadline_s": 60}, "its deadline passed"),
    ],
)
async def test_c2_a_run_that_may_not_go_on_is_told_with_the_reason(
    tmp_path: Path, wanted: dict[str, Any], why: str
) -> None:
    """And once it is no news any more, the log alone tells."""
    async with machine(tmp_path) as m:
        a, b = await m.window("a"), await m.window("b")
        run_id = await started(a, label="weekly", **wanted)
        await a.crash(m.dead)
        await b.status(run_id, RunStatus.INTERRUPTED)
        m.clock.advance(60)
        b.attend()
        recovered = await b.told_recovered.get()
        assert [(r.message, r.is_news) for r in recovered] == [(f"weekly was not resumed: {why}", False)]
        assert b.commands.calls == []


async def test_d3_c2_a_run_of_an_untrusted_folder_goes_on_when_trust_is_granted(tmp_path: Path) -> None:
    async with machine(tmp_path) as m:
        a, b = await m.window("a"), await m.window("b", trusted=False)
        await started(a)
        b.attend()
        await a.crash(m.dead)
        recovered = await b.told_recovered.get()
        assert messages(recovered) == ["test was not resumed: its folder is not trusted"]
        await b.service.trust([b.folder], trusted=True, remember=False)
        b.automatic.sweep([b.folder])
        assert [r.resumed for r in await b.told_recovered.get()] == [True]


async def test_c2_a_folder_that_was_closed_meanwhile_is_left_alone(tmp_path: Path) -> None:
    async with machine(tmp_path) as m:
        a, b = await m.window("a"), await m.window("b")
        kept = m.folder("kept")
        b.library.trust_for_session([kept])
        a.library.trust_for_session([kept])
        await interrupted(a, "shutdown")
        stays = await interrupted(a, "shutdown", folder=kept)
        b.attend(b.folder, kept, begin=False)
        b.open_folders.discard(b.folder)
        b.automatic.begin([b.folder, kept])
        assert [r.record.run_id for r in await b.told_recovered.get()] == [stays]


async def test_c3_only_crash_shutdown_and_a_client_that_went_are_resumed(tmp_path: Path) -> None:
    """C2, C3: the sweep goes from the oldest to the newest, and tells of all when all are decided."""
    async with machine(tmp_path) as m:
        a = await m.window("a")
        reasons = ("shutdown", "user", "cancelled", "deadline", "clientGone", "user", "shutdown")
        runs = [(await interrupted(a, reason), reason) for reason in reasons]
        resumable = [run_id for run_id, reason in runs if reason in ("shutdown", "clientGone")]
        b = await m.window("b")
        b.attend()
        recovered = await b.told_recovered.get()
        assert [r.record.run_id for r in recovered] == resumable
        assert messages(recovered)[:2] == [
            "test: Resumed after a shutdown: 0 of 1 steps kept",
            "test: Resumed after its editor had gone: 0 of 1 steps kept",
        ]
        assert list(dict.fromkeys(b.held.rows_read)) == resumable
        for run_id, reason in runs:
            assert await claims(b, run_id) == (["automatic"] if run_id in resumable else []), reason


async def test_c3_shutdown_is_not_resumed_when_it_is_noticed(tmp_path: Path) -> None:
    """A window that was closed does not live on in the next one; a crash after it is the witness."""
    async with machine(tmp_path) as m:
        a, b = await m.window("a"), await m.window("b")
        b.attend()
        closed = await interrupted(a, "shutdown")
        crashed = await started(a)
        await a.crash(m.dead)
        assert [r.record.run_id for r in await b.told_recovered.get()] == [crashed]
        assert (await b.store.read(closed)).status is RunStatus.INTERRUPTED


@pytest.mark.parametrize("point", ["list_runs", "read", "read_source"])
async def test_c3_an_interrupt_by_a_person_after_the_look_wins(tmp_path: Path, point: str) -> None:
    """I8: between the look and the claim, wherever it comes."""
    async with machine(tmp_path) as m:
        a, b = await m.window("a"), await m.window("b")
        run_id = await interrupted(a, "shutdown")
        # The witness that the sweep is over.
        other = await interrupted(a, "clientGone", auto_resume=False)
        b.held.hold(point)
        b.attend()
        await b.held.reached.wait()
        await a.service.interrupt(run_id, by="person")
        b.held.release.set()
        assert [r.record.run_id for r in await b.told_recovered.get()] == [other]
        assert await claims(b, run_id) == []
        assert (await b.store.read(run_id)).reason == "user"


async def test_c2_a_resume_by_hand_that_came_first_is_not_told_as_automatic(tmp_path: Path) -> None:
    """In the same process: the run is active here when the automatic resume asks for it."""
    async with machine(tmp_path) as m:
        a, b = await m.window("a"), await m.window("b")
        run_id = await interrupted(a, "shutdown")
        other = await interrupted(a, "clientGone")
        b.held.hold("read")
        b.attend()
        await b.held.reached.wait()
        resuming = b.resume(run_id)
        await b.status(run_id, RunStatus.RUNNING)
        b.held.release.set()
        assert [r.record.run_id for r in await b.told_recovered.get()] == [other]
        assert await claims(b, run_id) == ["resume"]
        await b.commands.called("only", 2)
        b.commands.finish("only")
        await resuming


async def test_c2_a_run_there_is_no_room_for_is_told_so(tmp_path: Path) -> None:
    async with machine(tmp_path) as m:
        a = await m.window("a")
        first, second = await interrupted(a, "shutdown"), await interrupted(a, "shutdown")
        b = await m.window("b", settings=Settings(active_runs_max=1))
        b.attend()
        recovered = await b.told_recovered.get()
        assert [(r.record.run_id, r.resumed) for r in recovered] == [(first, True), (second, False)]
        assert "1 runs are active" in recovered[1].message


async def test_c2_a_sweep_reads_page_after_page(tmp_path: Path) -> None:
    """All of them a person's, but for the very oldest."""
    async with machine(tmp_path) as m:
        a = await m.window("a")
        oldest = await interrupted(a, "clientGone")
        for number in range(1, 230):
            fields = {"folder": a.folder.path, "created_at_ms": m.clock.now_ms() + number}
            stopped = await running(a.store, number, owner=OTHER_OWNER, **fields)
            await a.store.write(Interrupt(stopped.run_id, "user"))
            await a.store.write(Release(stopped.run_id, OTHER_OWNER.owner_id, stopped.claim_epoch))
        b = await m.window("b")
        b.attend()
        assert [r.record.run_id for r in await b.told_recovered.get()] == [oldest]
        assert (await b.store.read(oldest)).is_active
