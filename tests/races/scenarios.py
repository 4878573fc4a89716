"""
The races: who asks for what, while the schedule decides when everything of it happens.

Those about questions stand in `question_scenarios.py`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sidestep.model.run import RunStatus
from tests.races.cast import Race, goes_on, interrupt
from tests.races.question_scenarios import QUESTION_RACES, QUESTION_SCRIPTS

if TYPE_CHECKING:
    from tests.races.cast import Cast

# What `main` asks for at the end depends on the order in which its first two steps completed (J3).
ORDERED = """
from sidestep import command
import asyncio

async def main():
    order = []

    async def one(name):
        await command([name], id=name)
        order.append(name)

    await asyncio.gather(one("a"), one("b"))
    await command(["then"], id="then-" + "-".join(order))
    return "done"
"""

CHILD = """
from sidestep import command

async def main():
    await command(["first"], id="first")
    await command(["second"], id="second")
    return "child"
"""

PARENT = """
from sidestep import command, workflow

async def main():
    got = await workflow("child", id="nested")
    await command(["after"], id="after")
    return got
"""

SIBLINGS = """
from sidestep import command, parallel, workflow

async def main():
    try:
        await parallel([workflow("child", id="nested"), command(["bad"], id="bad")])
    except RuntimeError:
        pass
    await command(["after"], id="after")
    return "went on"
"""

SCRIPTS = {"ordered": ORDERED, "child": CHILD, "parent": PARENT, "siblings": SIBLINGS, **QUESTION_SCRIPTS}


async def interrupt_x_completion(cast: Cast) -> None:
    """I7, I4, promise 5: exactly one stop, the same for everybody."""
    starting = cast.act("start", cast.a.start("ordered"))
    run_id = await cast.known()
    stopped = await cast.act("interrupt", interrupt(cast, cast.either(), run_id))
    if stopped.status == "interrupted":
        cast.require(not stopped.already_terminal, f"{stopped} was not terminal")
        await goes_on(cast, stopped)
    else:
        cast.require(bool(stopped.already_terminal), f"{stopped} was terminal")
    started = await starting
    cast.require(started.status == stopped.status, f"{started} and {stopped} differ")


async def cancel_x_completion(cast: Cast) -> None:
    """W16, S4, S5, S6, I4: the journal decides what a cancelled request is answered."""
    starting = cast.act("start", cast.a.start("ordered", token="t"))
    cancelling = cast.act("cancel", cast.a.cancel("t"))
    started = await starting
    await cancelling
    if started.code is None:
        cast.require(started.status == "completed", f"a cancelled start is interrupted or complete, not {started}")
        return
    cast.require(started.code == "requestCancelled", f"a cancelled start was refused: {started}")
    if started.run_id is None:
        cast.require(not cast.world.journal.run_ids(), f"{started} says there is no run, and there is one")
        return
    row = cast.world.journal.row(started.run_id)
    cast.require(row is not None and row.reason == "cancelled", f"{started}, and the row says {row}")
    await goes_on(cast, started)


async def background_x_interrupt(cast: Cast) -> None:
    """B2, B3: the interrupt wins; whoever was answered was told the truth."""
    starting = cast.act("start", cast.a.start("ordered"))
    run_id = await cast.known()
    backgrounding = cast.act("background", cast.either().background(run_id))
    stopped = await cast.act("interrupt", interrupt(cast, cast.either(), run_id))
    moved, started = await backgrounding, await starting
    cast.require(moved.code in (None, "invalidTransition"), f"background is done or clearly refused, not {moved}")
    moved_first = moved.code is None
    allowed = {stopped.status, "backgrounded"} if moved_first else {stopped.status}
    cast.require(started.status in allowed, f"{started} beside {moved} and {stopped}")
    if stopped.status == "interrupted":
        row = cast.world.journal.row(run_id)
        cast.require(row is not None and row.status is RunStatus.INTERRUPTED, f"{stopped} lost against {moved}")
        await goes_on(cast, stopped)


async def background_x_completion(cast: Cast) -> None:
    """B1, B3: the run goes to its end; the start is released by whichever came first."""
    starting = cast.act("start", cast.a.start("ordered"))
    run_id = await cast.known()
    moved = await cast.act("background", cast.either().background(run_id))
    started = await starting
    cast.require(moved.code in (None, "invalidTransition"), f"background is done or clearly refused, not {moved}")
    if moved.code is None:
        cast.require(started.status in ("backgrounded", "completed"), f"{started} beside {moved}")
    else:
        cast.require(started.status == "completed", f"{started} beside {moved}")
    await cast.stopped(run_id)


async def _interrupted(cast: Cast, script: str = "ordered") -> tuple[str, bool]:
    """A run that was interrupted somewhere: (its id, whether it was not too late)."""
    starting = cast.act("start", cast.a.start(script))
    run_id = await cast.known()
    stopped = await cast.act("interrupt", interrupt(cast, cast.either(), run_id))
    await starting
    return run_id, stopped.status == "interrupted"


async def resume_x_interrupt(cast: Cast) -> None:
    """I8, I3: whichever was first, both are answered with what the journal says, and the run can go on."""
    run_id, is_interrupted = await _interrupted(cast)
    if not is_interrupted:
        return
    resuming = cast.act("resume", cast.either().resume(run_id, background=cast.random.random() < 0.2))
    stopped = await cast.act("interrupt again", interrupt(cast, cast.either(), run_id))
    resumed = await resuming
    cast.require(resumed.code is None, f"a resume beside an interrupt is answered with the run, not {resumed}")
    cast.require(stopped.status in ("interrupted", "completed"), f"{stopped}")
    await cast.to_the_end(run_id)


async def two_resumes(cast: Cast) -> None:
    """F1, I8, promise 5: one gets the run; in the same window the other attaches, in another it is told who has it."""
    run_id, is_interrupted = await _interrupted(cast)
    if not is_interrupted:
        return
    one, other = cast.either(), cast.either()
    both = [cast.act(name, window.resume(run_id)) for name, window in (("one", one), ("other", other))]
    first, second = [await task for task in both]
    done = [reply for reply in (first, second) if reply.status == "completed"]
    refused = [reply for reply in (first, second) if reply.code is not None]
    cast.require(bool(done), f"none of two resumes got the run: {first}, {second}")
    for reply in refused:
        cast.require(one is not other and reply.code == "runLeased" and reply.mine is False, f"{reply} was refused")


async def late_result_x_claim(cast: Cast) -> None:
    """I3, I4, F2, F3: a late result is kept until the next claim, and dropped after it."""
    starting = cast.act("start", cast.a.start("ordered"))
    await cast.called("a")
    run_id = await cast.known()
    await cast.act("interrupt", cast.either().interrupt(run_id, wait_quiescent=False))
    # Mostly elsewhere: there the old execution is overpowered when the grace is spent.
    await cast.act("resume", cast.random.choice((cast.a, cast.b, cast.b, cast.b)).resume(run_id))
    await starting
    await cast.to_the_end(run_id)


async def late_result_x_child(cast: Cast) -> None:
    """P8, I3, F2: the same one level below; the fence of a nested run is its root's."""
    starting = cast.act("start", cast.a.start("parent"))
    await cast.called("first")
    run_id = await cast.known()
    await cast.act("interrupt", cast.either().interrupt(run_id, wait_quiescent=False))
    # Mostly elsewhere: there the old execution is overpowered when the grace is spent.
    await cast.act("resume", cast.random.choice((cast.a, cast.b, cast.b, cast.b)).resume(run_id))
    await starting
    await cast.to_the_end(run_id)


async def woken_owner_x_claim(cast: Cast) -> None:
    """F2, F3: an owner that stood still for longer than the grace, and went on, writes nothing any more."""
    starting = cast.act("start", cast.a.start("ordered"))
    run_id = await cast.known()
    if cast.random.random() < 0.5:
        # Near its end: the last it wants to write is that it has completed.
        await cast.called("then-")
    await cast.act("interrupt", cast.b.interrupt(run_id, wait_quiescent=False))
    await cast.act("resume", cast.b.resume(run_id))
    await starting
    await cast.to_the_end(run_id)


async def interrupt_x_child(cast: Cast) -> None:
    """P8, I5: an interrupt at every point of a nested run's making and reopening; the tree stops and goes on as one."""
    run_id, is_interrupted = await _interrupted(cast, "parent")
    if not is_interrupted:
        return
    resuming = cast.act("resume", cast.either().resume(run_id))
    children = [each for each in cast.world.journal.run_ids() if each != run_id]
    target = cast.random.choice([run_id, *children])
    stopped = await cast.act("interrupt again", cast.either().interrupt(target))
    resumed = await resuming
    cast.require(resumed.code is None, f"a resume beside an interrupt is answered with the run, not {resumed}")
    cast.require(stopped.code is None, f"an interrupt always answers, not {stopped}")
    await cast.to_the_end(run_id)


async def sibling_x_child(cast: Cast) -> None:
    """P3, P8: a nested run whose sibling failed is stopped when its step is, and writes nothing any more."""
    starting = cast.act("start", cast.a.start("siblings"))
    run_id = await cast.known()
    if cast.random.random() < 0.5:
        await cast.act("interrupt", interrupt(cast, cast.either(), run_id))
    await starting
    await cast.to_the_end(run_id)


RACES = {
    race.name: race
    for race in (
        Race("interrupt x completion", interrupt_x_completion),
        Race("cancel x completion", cancel_x_completion),
        Race("background x interrupt", background_x_interrupt),
        Race("background x completion", background_x_completion),
        Race("resume x interrupt", resume_x_interrupt),
        Race("two resumes", two_resumes),
        Race("late result x claim", late_result_x_claim, deaf=frozenset({"a"}), time_flows=True, slow=("a: a done",)),
        Race(
            "late result x child",
            late_result_x_child,
            deaf=frozenset({"first"}),
            time_flows=True,
            slow=("a: first done",),
        ),
        Race(
            "woken owner x claim",
            woken_owner_x_claim,
            time_flows=True,
            slow=("a: look", "a: commit", "a: sandbox closed", "a: create answered"),
        ),
        Race("interrupt x child", interrupt_x_child),
        Race("sibling x child", sibling_x_child, failing=frozenset({"bad"})),
        *QUESTION_RACES,
    )
}
