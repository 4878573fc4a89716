"""Waiting for a run at a terminal: signals, other windows, runs of other processes. S6, B1, C3."""

from __future__ import annotations

import asyncio
import signal
import subprocess
from typing import TYPE_CHECKING, Any

import pytest

from sidestep.cli.following import Follower
from sidestep.cli.invocation import Invocation
from sidestep.cli.stop_signals import StopSignals, kill_descendants
from sidestep.model.errors import RequestCancelled
from sidestep.model.run import RunRecord, RunStatus
from sidestep.service.requests import ResumeRequest, StartRequest
from sidestep.settings import Settings
from sidestep.store.memory import InMemoryRunStore, MemoryJournal
from tests.support.fake_clock import FakeClock
from tests.support.service_harness import ONE_STEP, Harness, LivingOwners

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator
    from pathlib import Path

    from sidestep.model.abort import AbortSignal
    from sidestep.service.requests import OnRun


def starting(harness: Harness, **wanted: Any) -> Callable[..., Any]:
    async def ask(on_run: OnRun, abort: AbortSignal) -> RunRecord:
        request: StartRequest = harness.request(ONE_STEP, on_run=on_run, **wanted)
        return (await harness.service.start(request, abort)).record

    return ask


SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@pytest.fixture(autouse=True)
def handlers() -> Iterator[None]:
    """After the test the signals do what they did before it."""
    before = [signal.getsignal(number) for number in SIGNALS]
    yield
    for number, handler in zip(SIGNALS, before, strict=True):
        signal.signal(number, handler)


async def _follow(harness: Harness, ask: Callable[..., Any], further: Callable[[int], None]) -> RunRecord:
    with StopSignals(further) as signals:
        return await Follower(harness.service, "test", Invocation(signals), events_after=None).follow(ask)


def followed(
    harness: Harness, ask: Callable[..., Any], further: Callable[[int], None] = [].append
) -> asyncio.Task[RunRecord]:
    return asyncio.create_task(_follow(harness, ask, further))


async def test_a_completed_run_is_answered_and_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    async with Harness(tmp_path) as harness:
        record = await followed(harness, starting(harness))
    assert record.status is RunStatus.COMPLETED
    said = capsys.readouterr()
    assert said.out == ""
    assert "step   only completed" in said.err


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
async def test_a_signal_interrupts_the_run_durably_as_the_person_did(
    tmp_path: Path, number: signal.Signals, capsys: pytest.CaptureFixture[str]
) -> None:
    async with Harness(tmp_path) as harness:
        harness.commands.held.add("only")
        waiting = followed(harness, starting(harness))
        await harness.commands.called("only")
        signal.raise_signal(number)
        record = await waiting
        stored = await harness.store.read(record.run_id)
    assert (stored.status, stored.reason) == (RunStatus.INTERRUPTED, "user")
    assert (record.status, record.sequence) == (stored.status, stored.sequence)
    assert "Once more to hurry" in capsys.readouterr().err


async def test_every_further_signal_takes_the_time_away(tmp_path: Path) -> None:
    hurried: list[int] = []
    async with Harness(tmp_path) as harness:
        harness.commands.held.add("only")
        harness.commands.deaf.add("only")
        waiting = followed(harness, starting(harness), hurried.append)
        await harness.commands.called("only")
        signal.raise_signal(signal.SIGINT)
        await harness.told("told status:interrupted")
        assert hurried == []
        for _ in range(2):
            signal.raise_signal(signal.SIGINT)
        assert hurried == [2, 3]
        harness.commands.finish("only")
        assert (await waiting).status is RunStatus.INTERRUPTED


def test_nothing_below_this_process_survives_a_hurry() -> None:
    with subprocess.Popen(["sh", "-c", "trap '' TERM; echo ready; cat"], stdin=-1, stdout=-1, text=True) as process:
        assert process.stdout is not None
        process.stdout.readline()
        kill_descendants()
        assert process.wait() == -signal.SIGKILL


async def test_signals_do_what_they_did_before_once_the_run_is_over(tmp_path: Path) -> None:
    before = [signal.getsignal(number) for number in SIGNALS]
    async with Harness(tmp_path) as harness:
        await followed(harness, starting(harness))
    assert [signal.getsignal(number) for number in SIGNALS] == before


def test_once_asked_to_stop_a_process_can_be_hurried_until_its_very_end() -> None:
    hurried: list[int] = []
    with pytest.raises(KeyboardInterrupt), StopSignals(hurried.append):
        signal.raise_signal(signal.SIGTERM)
    signal.raise_signal(signal.SIGINT)
    assert hurried == [2]


async def test_a_signal_before_the_run_exists_leaves_no_run(tmp_path: Path) -> None:
    async with Harness(tmp_path) as harness:

        async def ask(on_run: OnRun, abort: AbortSignal) -> RunRecord:
            signal.raise_signal(signal.SIGINT)
            await abort.wait()
            return (await harness.service.start(harness.request(ONE_STEP, on_run=on_run), abort)).record

        with pytest.raises(RequestCancelled) as cancelled:
            await followed(harness, ask)
        assert cancelled.value.outcome == {"runId": None}
        assert harness.committed == []


async def test_moved_to_the_background_by_another_window_it_is_still_waited_for(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """B1: the run ends with its command, so the terminal goes on waiting, and says so."""
    async with Harness(tmp_path) as harness:
        harness.commands.held.add("only")
        waiting = followed(harness, starting(harness))
        await harness.commands.called("only")
        run_id = harness.commands.calls[-1].run_id
        await harness.service.background(run_id)
        harness.commands.finish("only")
        record = await waiting
    assert record.status is RunStatus.COMPLETED
    assert capsys.readouterr().err.count("Moved to the background") == 1


async def test_an_interrupt_right_after_it_was_moved_to_the_background_wins(tmp_path: Path) -> None:
    """B2: the waiting command must not go on with a run that was stopped meanwhile."""
    async with Harness(tmp_path) as harness:
        harness.commands.held.add("only")
        waiting = followed(harness, starting(harness))
        await harness.commands.called("only")
        run_id = harness.commands.calls[-1].run_id
        await asyncio.gather(harness.service.background(run_id), harness.service.interrupt(run_id, by="test"))
        record = await waiting
        kinds = await harness.kinds(run_id)
    assert (record.status, record.reason) == (RunStatus.INTERRUPTED, "user")
    assert [kind for kind in kinds if kind.startswith("status:")] == [
        "status:pending",
        "status:running",
        "status:backgrounded",
        "status:interrupted",
    ]


async def elsewhere_and_here(tmp_path: Path, released: Callable[[Harness, str], Awaitable[object]]) -> RunRecord:
    """Follow a run of another process until `released`, called once it is followed, ends that; returns its row."""
    clock, journal, settings = FakeClock(), MemoryJournal(), Settings()
    dead: set[str] = set()

    def process(name: str) -> Harness:
        store = InMemoryRunStore(clock, settings, journal)
        return Harness(tmp_path, store=store, settings=settings, owners=LivingOwners(name, dead), clock=clock)

    async with process("owner-a") as first, process("owner-b") as second:
        first.commands.held.add("only")
        elsewhere = first.start(start_key="k")
        await first.commands.called("only")
        attached = asyncio.Event()

        async def ask(on_run: OnRun, abort: AbortSignal) -> RunRecord:
            def noted(run_id: str, record: RunRecord | None) -> Callable[[], None]:
                attached.set()
                return on_run(run_id, record)

            return (await second.service.start(second.request(ONE_STEP, on_run=noted, start_key="k"), abort)).record

        waiting = followed(second, ask)
        await attached.wait()
        run_id = first.commands.calls[-1].run_id
        await second.store.watch(busy=True)
        await released(first, run_id)
        record = await waiting
        assert record.is_active
        first.commands.finish("only")
        await first.status(run_id, RunStatus.COMPLETED)
        await elsewhere
    return record


async def test_a_run_of_another_process_is_let_go_and_not_interrupted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async def ctrl_c(_: Harness, __: str) -> None:
        signal.raise_signal(signal.SIGINT)

    await elsewhere_and_here(tmp_path, ctrl_c)
    assert "Letting go" in capsys.readouterr().err


async def test_a_run_of_another_process_that_is_moved_to_the_background_is_let_go(tmp_path: Path) -> None:
    """B1: whoever waited for it is released."""
    record = await elsewhere_and_here(tmp_path, lambda first, run_id: first.service.background(run_id))
    assert record.status is RunStatus.BACKGROUNDED


async def test_a_continued_run_shows_the_steps_it_reuses(tmp_path: Path) -> None:
    async with Harness(tmp_path) as harness:
        harness.commands.held.add("second")
        source = ONE_STEP.replace("return", 'await command(["true"], id="second")\n    return')
        task, run_id = await harness.running(source, "second")
        await harness.service.interrupt(run_id, by="test")
        await task
        harness.commands.held.clear()
        follower = Follower(harness.service, "test", Invocation(StopSignals([].append)), events_after=None)
        await follower.seed(run_id)

        async def ask(on_run: OnRun, abort: AbortSignal) -> RunRecord:
            return await harness.service.resume(ResumeRequest(run_id=run_id, on_run=on_run), abort)

        record = await follower.follow(ask)
    assert record.status is RunStatus.COMPLETED
    view = follower._view
    assert (view.reused, view.completed) == (1, 1)
