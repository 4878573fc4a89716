"""I6, W17: whatever a command and its descendants do with signals, an abort leaves none of them."""

from __future__ import annotations

import asyncio
import os
import signal
from typing import TYPE_CHECKING

import pytest

from sidestep.executors.process_group import group_alive
from sidestep.model.abort import AbortController, Aborted, AbortKind, AbortReason

from .conftest import Commands, Lifeline
from .test_command import shell

if TYPE_CHECKING:
    from pathlib import Path

    from sidestep.model.execution import StepOutcome

USER = AbortReason(AbortKind.USER, by="a test")

# Each script opens the lifeline, says "up" when it is ready to be aborted, and never ends by itself.
STUBBORN = {
    "leader": "exec 9>life; echo up >&9; sleep 1000",
    "leader that ignores TERM": 'trap "" TERM; exec 9>life; echo up >&9; sleep 1000; sleep 1000',
    "grandchild": "(exec 9>life; echo up >&9; sleep 1000) & wait",
    "grandchild that ignores TERM": '(trap "" TERM; exec 9>life; echo up >&9; while :; do sleep 1000; done) & wait',
    "orphan that ignores TERM and holds the output": (
        '(trap "" TERM; exec 9>life; echo up >&9; while :; do sleep 1000; done) & exec sleep 1000'
    ),
    "stopped leader": "exec 9>life; echo up >&9; kill -STOP $$; sleep 1000",
    "stopped grandchild": "(exec 9>life; echo up >&9; exec sh -c 'kill -STOP $$; sleep 1000') & wait",
    "program that floods": "exec 9>life; echo up >&9; yes",
    "program that does not read its input": "exec 9>life; echo up >&9; exec sleep 1000",
}


async def aborted_while_up(commands: Commands, life: Lifeline, script: str, **options: object) -> AbortReason:
    """Start the script, abort when it is up; returns the reason the executor raised."""
    controller = AbortController()
    running = asyncio.ensure_future(commands.outcome(shell(script), controller.signal, **options))
    assert await life.line() == "up"
    controller.abort(USER)
    with pytest.raises(Aborted) as aborted:
        await running
    return aborted.value.reason


@pytest.mark.slow
@pytest.mark.parametrize("who", STUBBORN)
async def test_i6_an_abort_leaves_nothing_whoever_resists(commands: Commands, life: Lifeline, who: str) -> None:
    options = {"stdin": "x" * 1_000_000} if "input" in who else {}
    reason = await aborted_while_up(commands, life, STUBBORN[who], **options)
    assert reason == USER
    assert not life.is_held, "somebody outlived the abort"
    assert not group_alive(commands.ledger.ever[0])
    assert commands.ledger.standing == {}


async def test_i6_a_program_gets_to_clean_up_before_it_is_killed(commands: Commands, life: Lifeline) -> None:
    """TERM comes first, also to one that is stopped, and the grace is long enough for a trap."""
    commands = Commands(commands.folder, terminate_grace_s=60)
    script = 'trap "rm lock; exit 0" TERM; touch lock; exec 9>life; echo up >&9; kill -STOP $$; sleep 1000 & wait'
    await aborted_while_up(commands, life, script)
    assert not (commands.folder / "lock").exists()


async def test_i6_a_program_hears_of_an_abort_before_anything_else_is_done(commands: Commands, life: Lifeline) -> None:
    """The signal is sent while the abort is being told: no task of the loop has to run for it."""
    controller = AbortController()
    script = 'trap "echo term >&9; exit" TERM; exec 9>life; echo up >&9; while :; do sleep 1000 & wait; done'
    running = asyncio.ensure_future(commands.outcome(shell(script), controller.signal))
    assert await life.line() == "up"
    controller.abort(USER)
    # Blocks the loop until the program has answered the signal.
    assert life.line_now() == "term"
    with pytest.raises(Aborted):
        await running


@pytest.mark.parametrize("ended", ["nobody", "leader"])
async def test_i6_a_group_is_told_to_end_only_once(commands: Commands, life: Lifeline, ended: str) -> None:
    """A second TERM means "at once" to many programs; also when the leader has ended of the first one."""
    stays = 'trap "echo term >&9" TERM; exec 9>life; echo up >&9; while :; do sleep 1000 & wait; done'
    await aborted_while_up(commands, life, stays if ended == "nobody" else f"({stays}) & exec sleep 1000")
    assert await life.end() == "term\n"


async def test_an_abort_before_the_start_starts_nothing(commands: Commands) -> None:
    controller = AbortController()
    controller.abort(USER)
    with pytest.raises(Aborted):
        await commands.outcome(shell("touch ran"), controller.signal)
    assert commands.ledger.ever == []


async def test_an_abort_at_the_gate_runs_no_user_code(commands: Commands) -> None:
    """The signal fires after the process was made and before it was let go."""
    commands = Commands(commands.folder, terminate_grace_s=60)
    controller = AbortController()
    original = commands.ledger.record

    def record(run_id: str, group_id: int, started_at: float) -> None:
        original(run_id, group_id, started_at)
        controller.abort(USER)

    commands.ledger.record = record
    # Children inherit an ignored TERM: had the program been let go, nothing would keep it from its work.
    handler = signal.signal(signal.SIGTERM, signal.SIG_IGN)
    try:
        with pytest.raises(Aborted):
            await commands.outcome(shell("touch ran"), controller.signal, stdin="x")
    finally:
        signal.signal(signal.SIGTERM, handler)
    assert not (commands.folder / "ran").exists()
    assert commands.ledger.standing == {}
    assert len(commands.ledger.ever) == 1


async def test_an_abort_while_waiting_for_a_slot_starts_nothing(tmp_path: Path) -> None:
    commands, controller = Commands(tmp_path, commands_running_max=1), AbortController()
    life = Lifeline(tmp_path / "life")
    first = asyncio.ensure_future(commands.outcome(shell(STUBBORN["leader"]), controller.signal))
    assert await life.line() == "up"
    waiting = AbortController()
    second = asyncio.ensure_future(commands.outcome(shell("touch ran"), waiting.signal))
    await asyncio.wait([second], timeout=0)
    waiting.abort(USER)
    with pytest.raises(Aborted):
        await second
    controller.abort(USER)
    with pytest.raises(Aborted):
        await first
    assert (await commands.run(["echo", "free"]))["stdout"] == "free\n"
    assert not (tmp_path / "ran").exists()
    life.close()


async def test_a_second_abort_and_an_abort_after_the_end_change_nothing(commands: Commands, life: Lifeline) -> None:
    controller = AbortController()
    running = asyncio.ensure_future(commands.outcome(shell(STUBBORN["leader"]), controller.signal))
    assert await life.line() == "up"
    controller.abort(USER)
    assert not controller.abort(AbortReason(AbortKind.SHUTDOWN))
    with pytest.raises(Aborted) as aborted:
        await running
    assert aborted.value.reason == USER
    late = AbortController()
    assert (await commands.run(["echo", "a"], late.signal))["stdout"] == "a\n"
    late.abort(USER)


async def test_a_cancelled_task_leaves_nothing_either(commands: Commands, life: Lifeline) -> None:
    running: asyncio.Future[StepOutcome] = asyncio.ensure_future(commands.outcome(shell(STUBBORN["grandchild"])))
    assert await life.line() == "up"
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert not life.is_held
    assert commands.ledger.standing == {}


async def test_a_task_cancelled_again_while_it_cleans_up_kills_and_stays_in_the_ledger(
    commands: Commands, life: Lifeline
) -> None:
    """What was not seen to be gone is not forgotten: the next owner of the run will look for it."""
    commands = Commands(commands.folder, terminate_grace_s=60)
    script = 'trap "echo term >&9" TERM; exec 9>life; echo up >&9; while :; do sleep 1000 & wait; done'
    running = asyncio.ensure_future(commands.outcome(shell(script)))
    assert await life.line() == "up"
    running.cancel()
    assert await life.line() == "term"
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert list(commands.ledger.standing) == commands.ledger.ever
    # The kill was sent before the task ended; the lifeline's end is the proof that it arrived.
    await life.end()


async def test_a_program_that_leaves_its_group_is_not_waited_for(commands: Commands, life: Lifeline) -> None:
    """`setsid` is how a daemon says that it wants to live on; it does, and the step still ends."""
    script = "setsid sh -c 'exec 9>life; echo up >&9; echo $$ >&9; exec sleep 1000' >/dev/null 2>&1 & echo started"
    output = await commands.run(shell(script))
    assert output["stdout"] == "started\n"
    assert await life.line() == "up"
    survivor = int(await life.line())
    assert life.is_held
    os.kill(survivor, signal.SIGKILL)
    await life.end()


async def test_f3_f4_a_command_is_written_down_before_the_claim_is_looked_at_and_begins_after(
    commands: Commands, tmp_path: Path
) -> None:
    """Whoever took the run over either sees the group or was seen: no order of the two lets a second copy begin."""
    seen: list[tuple[int, bool]] = []

    async def lost() -> None:
        seen.append((len(commands.ledger.standing), (tmp_path / "begun").exists()))
        raise Aborted(AbortReason(AbortKind.LEASE_LOST))

    commands.require_claim = lost
    with pytest.raises(Aborted):
        await commands.outcome(shell("echo > begun"))
    assert seen == [(1, False)]
    assert not (tmp_path / "begun").exists()
    assert commands.ledger.standing == {}
    assert not group_alive(commands.ledger.ever[0])
