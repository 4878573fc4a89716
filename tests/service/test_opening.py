"""A new run's session and first turn, under way while the run is being created: whatever becomes of that, they end."""

from __future__ import annotations

import asyncio
import weakref
from typing import TYPE_CHECKING, Any

import pytest

from sidestep.engine.opening import Opening
from sidestep.model.abort import AbortController, AbortKind, AbortReason
from sidestep.model.errors import Draining, RequestCancelled, StoreUnavailable
from sidestep.model.execution import Program, Turn
from sidestep.model.run import RunStatus
from sidestep.runtime.sandbox import MontySandbox, MontySandboxSession
from sidestep.settings import Settings
from tests.support.fake_clock import FakeClock
from tests.support.held_store import HeldStore
from tests.support.service_harness import ONE_STEP, Harness, StartTask, patient

if TYPE_CHECKING:
    from pathlib import Path

    from sidestep.model.execution import KnownAnswer, SandboxSession
    from sidestep.model.run import RunRecord

CANCELLED = AbortReason(AbortKind.CANCELLED)
BUSY = "async def main():\n    while True:\n        pass\n"


class Sessions:
    """Every session of a test: opened, told to stop, over."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.opened: list[SandboxSession] = []
        self.stopped: list[SandboxSession] = []
        self.over: list[SandboxSession] = []
        # None of them is over before this is set.
        self.may_end = asyncio.Event()
        self.may_end.set()
        self._changed = asyncio.Event()
        make, kill, close = MontySandbox.open, MontySandboxSession.kill, MontySandboxSession.close

        async def opening(sandbox: MontySandbox, program: Program, known: KnownAnswer | None = None) -> SandboxSession:
            session = await make(sandbox, program, known)
            self._note(self.opened, session)
            return session

        def killing(session: MontySandboxSession) -> None:
            kill(session)
            self._note(self.stopped, session)

        async def closing(session: MontySandboxSession) -> None:
            await self.may_end.wait()
            await close(session)
            self._note(self.over, session)

        monkeypatch.setattr(MontySandbox, "open", opening)
        monkeypatch.setattr(MontySandboxSession, "kill", killing)
        monkeypatch.setattr(MontySandboxSession, "close", closing)

    async def until_opened(self, count: int) -> None:
        while len(self.opened) < count:
            self._changed.clear()
            await self._changed.wait()

    async def until_over(self, count: int) -> None:
        while len(self.over) < count:
            self._changed.clear()
            await self._changed.wait()

    def _note(self, where: list[SandboxSession], session: SandboxSession) -> None:
        if session not in where:
            where.append(session)
            self._changed.set()


@pytest.fixture
def sessions(monkeypatch: pytest.MonkeyPatch) -> Sessions:
    return Sessions(monkeypatch)


class LateStore(HeldStore):
    """Holds a create before it is carried out."""

    async def create(self, record: RunRecord, source: str) -> tuple[RunRecord, bool]:
        await self._pass("create")
        return await super().create(record, source)


class RefusingStore(HeldStore):
    """Answers a create, once it is let go, that it takes no writes."""

    async def create(self, record: RunRecord, source: str) -> tuple[RunRecord, bool]:
        await self._pass("create")
        raise StoreUnavailable(what="The disk is full.", todo="Make room.")


def over(store_type: type[HeldStore], tmp_path: Path) -> tuple[Harness, HeldStore]:
    clock = FakeClock()
    store = store_type(clock, Settings())
    return Harness(tmp_path, store=store, clock=clock), store


async def started_unknown(h: Harness, store: HeldStore, sessions: Sessions, **wanted: Any) -> StartTask:
    """A start whose script computes and whose run is stored, and that does not know so yet: `store.release` tells."""
    store.hold("create")
    starting = h.start(BUSY, **wanted)
    await sessions.until_opened(1)
    await store.reached.wait()
    return starting


async def test_s1_a_run_that_cannot_be_stored_leaves_no_session(tmp_path: Path, sessions: Sessions) -> None:
    harness, store = over(RefusingStore, tmp_path)
    async with harness as h:
        store.hold("create")
        starting = h.start(BUSY)
        await sessions.until_opened(1)
        (active,) = h.service.runs
        store.release.set()
        # Whoever drains waits for the session, too.
        await active.quiescent.wait()
        assert sessions.over == sessions.opened
        with pytest.raises(StoreUnavailable):
            await starting
        assert h.commands.calls == []


async def test_s7_the_start_that_finds_its_key_taken_leaves_no_session(tmp_path: Path, sessions: Sessions) -> None:
    """S7: nobody had the key when it was looked for, and somebody has when the run is created."""
    harness, store = over(LateStore, tmp_path)
    async with harness as h:
        store.hold("find_start_key")
        late = h.start(ONE_STEP, start_key="once")
        await store.reached.wait()
        looked = store.release
        h.commands.held.add("only")
        first = h.start(ONE_STEP, start_key="once")
        await h.commands.called("only")
        store.hold("create")
        looked.set()
        await store.reached.wait()
        await sessions.until_opened(2)
        store.release.set()
        await sessions.until_over(1)
        assert sessions.over == sessions.opened[1:]
        h.commands.finish("only")
        assert (await late).record == (await first).record
        assert not (await late).created
        assert h.commands.count("only") == 1
        assert len(sessions.over) == 2


async def test_i1_a_cancel_stops_the_script_while_its_run_is_being_created(tmp_path: Path, sessions: Sessions) -> None:
    """I1: what computes is stopped at once; the interrupt is stored once there is a run to interrupt."""
    harness, store = over(HeldStore, tmp_path)
    async with harness as h:
        store.hold("create")
        caller = AbortController()
        starting = h.start(BUSY, signal=caller)
        await sessions.until_opened(1)
        caller.abort(CANCELLED)
        assert sessions.stopped == sessions.opened
        await store.reached.wait()
        store.release.set()
        with pytest.raises(RequestCancelled) as cancelled:
            await starting
        assert cancelled.value.outcome["status"] == "interrupted"
        assert cancelled.value.outcome["quiescent"] is True
        assert sessions.over == sessions.opened


async def test_i1_the_interrupt_of_a_run_that_was_being_created_does_not_wait_for_its_session(
    tmp_path: Path, sessions: Sessions
) -> None:
    """I1, S10: whoever cancelled is told of a run that is interrupted, however long its script takes to end."""
    harness, store = over(HeldStore, tmp_path)
    async with harness as h:
        sessions.may_end.clear()
        caller = AbortController()
        starting = await started_unknown(h, store, sessions, signal=caller)
        caller.abort(CANCELLED)
        store.release.set()
        await h.told("told status:interrupted")
        assert sessions.over == []
        sessions.may_end.set()
        with pytest.raises(RequestCancelled) as cancelled:
            await starting
        assert (cancelled.value.outcome["status"], cancelled.value.outcome["quiescent"]) == ("interrupted", True)


async def test_i9_an_interrupt_stops_the_script_before_its_start_knows_that_the_run_is_there(
    tmp_path: Path, sessions: Sessions
) -> None:
    """I9: whoever interrupts it, the commit tells this process that its execution is over."""
    harness, store = over(HeldStore, tmp_path)
    async with harness as h:
        starting = await started_unknown(h, store, sessions)
        (created,) = await store.owned_runs()
        await h.service.interrupt(created.run_id, by="person", wait_quiescent=False)
        assert sessions.stopped == sessions.opened
        (active,) = h.service.runs
        store.release.set()
        assert (await starting).record.status is RunStatus.INTERRUPTED
        # What was interrupted by a person is answered before its session is over.
        await active.quiescent.wait()
        ended = await h.store.read(created.run_id)
        assert (ended.reason, ended.owner) == ("user", None)
        assert sessions.over == sessions.opened


async def test_s4_a_cancel_before_there_is_a_worker_waits_for_none(tmp_path: Path, sessions: Sessions) -> None:
    """S4: nothing has opened yet when the request is withdrawn, and nothing opens afterwards."""
    harness, store = over(HeldStore, tmp_path)
    async with harness as h:
        store.hold("create")
        caller = AbortController()
        starting = h.start(ONE_STEP, signal=caller)
        await store.reached.wait()
        assert sessions.opened == []
        caller.abort(CANCELLED)
        store.release.set()
        with pytest.raises(RequestCancelled):
            await starting
        assert sessions.opened == []
        assert h.commands.calls == []


async def test_s3_the_answer_of_a_run_that_is_shut_down_while_it_is_created_says_so(
    tmp_path: Path, sessions: Sessions
) -> None:
    """S3: the interrupt is durable before the start is answered, so the answer is not that the run goes on."""
    harness, store = over(HeldStore, tmp_path)
    async with harness as h:
        starting = await started_unknown(h, store, sessions, **patient())
        draining = asyncio.create_task(h.service.drain(AbortReason(AbortKind.SHUTDOWN)))
        await h.service.runs.draining.signal.wait()
        store.release.set()
        started = await starting
        assert started.created
        assert (started.record.status, started.record.reason) == (RunStatus.INTERRUPTED, "shutdown")
        await draining
        assert sessions.over == sessions.opened


async def test_s3_the_answer_of_a_run_that_is_interrupted_before_its_start_knows_of_it_says_so(tmp_path: Path) -> None:
    harness, store = over(HeldStore, tmp_path)
    async with harness as h:
        store.hold("create")
        starting = h.start(BUSY, **patient())
        await store.reached.wait()
        (created,) = await store.owned_runs()
        await h.service.interrupt(created.run_id, by="person", wait_quiescent=False)
        store.release.set()
        assert (await starting).record.status is RunStatus.INTERRUPTED


async def test_a_close_ends_a_session_whose_run_was_to_be_conducted_just_now(
    tmp_path: Path, sessions: Sessions
) -> None:
    """A task that is cancelled before it has begun would clean nothing up."""
    harness, store = over(HeldStore, tmp_path)
    async with harness as h:
        starting = await started_unknown(h, store, sessions)
        (active,) = h.service.runs
        store.release.set()
        await active.decided.wait()
        await h.service.runs.close()
        assert active.quiescent.is_set()
        assert sessions.over == sessions.opened
    with pytest.raises(Draining):
        await starting


class WatchedTurn(Turn, frozen=True, weakref=True):
    """Tells when nobody has it any more."""


async def test_the_first_turn_is_kept_by_nobody_but_who_asked_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may be as large as a turn can be, and a run may wait for a month."""
    start = MontySandboxSession.start

    async def starting(session: MontySandboxSession) -> Turn:
        turn = await start(session)
        return WatchedTurn(turn.calls, turn.ended)

    monkeypatch.setattr(MontySandboxSession, "start", starting)
    async with Harness(tmp_path) as h:
        opening = Opening(h.sandbox, Program("test", "<test>", ONE_STEP, "{}"), AbortController().signal)
        _, turn = await opening.first_turn()
        assert len(turn.calls) == 1
        watched = weakref.ref(turn)
        del turn
        assert watched() is None
        await opening.close()
