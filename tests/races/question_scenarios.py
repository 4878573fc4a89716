"""
The races of answers (P7): with an interrupt, another answer, the step's end, and another process's claim.

Who gives an answer is told whether it is the one that is recorded; what is recorded is what the script gets, and a
question that nobody waits for any more takes none.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sidestep.model.events import InteractionChanged, InteractionStatus
from sidestep.model.run import StepStatus
from tests.races.cast import Race, goes_on, interrupt
from tests.races.journal_rules import completions

if TYPE_CHECKING:
    from tests.races.cast import Cast
    from tests.races.world import Reply

ASKING = """
from sidestep import ask, command

async def main():
    got = await ask("Ship it?", id="ship")
    await command(["then"], id="then-" + got)
    return got
"""

ASKING_BELOW = """
from sidestep import workflow

async def main():
    return await workflow("asking", id="nested")
"""

ASKING_BRIEFLY = """
from sidestep import ask, command

async def main():
    try:
        got = await ask("Ship it?", id="ship", timeout_s=2)
    except TimeoutError:
        got = "nobody"
    await command(["then"], id="then-" + got)
    return got
"""

ASKING_BESIDE = """
from sidestep import ask, command, parallel

async def main():
    try:
        await parallel([ask("Ship it?", id="ship"), command(["bad"], id="bad")])
    except RuntimeError:
        pass
    await command(["after"], id="after")
    return "went on"
"""

QUESTION_SCRIPTS = {
    "asking": ASKING,
    "asking-below": ASKING_BELOW,
    "asking-briefly": ASKING_BRIEFLY,
    "asking-beside": ASKING_BESIDE,
}


def _history(cast: Cast, name: str) -> list[InteractionStatus]:
    """What became of the one question of the run of that script."""
    events = cast.world.journal.events(cast.world.run_named(name))
    return [event.body.status for event in events if isinstance(event.body, InteractionChanged)]


def _report(cast: Cast, name: str) -> str | None:
    row = cast.world.journal.row(cast.world.run_named(name))
    return None if row is None or row.result is None else row.result.report


def _require_taken(cast: Cast, given: Reply, name: str) -> None:
    """Its run is over: the answer was accepted, the script got it, and the question was asked once."""
    cast.require(given.accepted is True, f"an open question takes the first answer: {given}")
    cast.require(_report(cast, name) == given.recorded, f"{given}, and the script got {_report(cast, name)!r}")
    asked = [InteractionStatus.ASKED, InteractionStatus.ANSWERED]
    cast.require(_history(cast, name) == asked, f"the question was {_history(cast, name)}")


async def answer_x_interrupt(cast: Cast) -> None:
    """P7, G5, I3: recorded exactly once, whatever stops; a resume takes it and never asks again."""
    script = cast.random.choice(("asking", "asking", "asking-below"))
    starting = cast.act("start", cast.a.start(script))
    question = await cast.asked()
    run_id = await cast.known()
    answering = cast.act("answer", cast.either().answer(question, "yes"))
    stopped = await cast.act("interrupt", interrupt(cast, cast.either(), run_id))
    if stopped.status == "interrupted":
        # Perhaps before the answer is given: then it is waited for again.
        await goes_on(cast, stopped)
    given = await answering
    await starting
    await cast.to_the_end(run_id)
    _require_taken(cast, given, "asking")
    late = await cast.either().answer(question, "no")
    cast.require((late.accepted, late.recorded) == (False, "yes"), f"{late} after {given}")


async def two_answers(cast: Cast) -> None:
    """P7, W25: exactly one is accepted, both are told the same, and the script gets it."""
    starting = cast.act("start", cast.a.start(cast.random.choice(("asking", "asking-below"))))
    question = await cast.asked()
    both = [cast.act(f"answer {answer}", cast.either().answer(question, answer)) for answer in ("yes", "no")]
    one, other = [await task for task in both]
    cast.require({one.accepted, other.accepted} == {True, False}, f"one of two answers is the first: {one}, {other}")
    cast.require(one.recorded == other.recorded, f"{one} and {other} differ")
    await starting
    _require_taken(cast, one if one.accepted else other, "asking")


async def answer_x_timeout(cast: Cast) -> None:
    """P7, T1: answered and completed with it, or withdrawn and refused; never accepted and dropped."""
    starting = cast.act("start", cast.a.start("asking-briefly"))
    question = await cast.asked()
    given = await cast.act("answer", cast.either().answer(question, "yes"))
    await starting
    _require_taken_or_refused(cast, given)


async def answer_x_withdrawal(cast: Cast) -> None:
    """P7, P3: the same with a sibling that fails, and a run that goes on without the question."""
    starting = cast.act("start", cast.a.start("asking-beside"))
    question = await cast.asked()
    run_id = await cast.known()
    answering = cast.act("answer", cast.either().answer(question, "yes"))
    is_interrupted = cast.random.random() < 0.7
    if is_interrupted:
        if cast.random.random() < 0.5:
            # Between the failure and what follows from it.
            await cast.reached(run_id, "bad", StepStatus.FAILED)
        await cast.act("interrupt", interrupt(cast, cast.either(), run_id))
        await cast.to_the_end(run_id)
    given = await answering
    await starting
    events = cast.world.journal.events(cast.world.run_named("asking-beside"))
    is_completed = "ship" in completions(events)
    if given.accepted:
        # After a resume the sibling's failure is replayed before anybody asks: the question stays open to the end.
        cast.require(is_completed or is_interrupted, f"{given}, and the step did not complete with it")
        cast.require(_history(cast, "asking-beside")[-1] is InteractionStatus.ANSWERED, f"{given} is not recorded last")
    else:
        cast.require(not is_completed, f"{given}, and the step completed")


async def answer_x_claim(cast: Cast) -> None:
    """P7, F2, F3: answered while another process takes the run over; the old owner neither withdraws nor completes."""
    script = cast.random.choice(("asking", "asking-briefly"))
    starting = cast.act("start", cast.a.start(script))
    question = await cast.asked()
    run_id = await cast.known()
    answering = cast.act("answer", cast.either().answer(question, "yes"))
    await cast.act("interrupt", cast.b.interrupt(run_id, wait_quiescent=False))
    resuming = cast.act("resume", cast.random.choice((cast.a, cast.b, cast.b, cast.b)).resume(run_id))
    given = await answering
    await resuming
    await starting
    await cast.to_the_end(run_id)
    if script == "asking":
        _require_taken(cast, given, script)
    else:
        _require_taken_or_refused(cast, given)


def _require_taken_or_refused(cast: Cast, given: Reply) -> None:
    report, history = _report(cast, "asking-briefly"), _history(cast, "asking-briefly")
    if given.accepted:
        cast.require(report == "yes", f"{given} was dropped: the script got {report!r}")
        cast.require(history[-1] is InteractionStatus.ANSWERED, f"{given}, and the question was {history}")
    else:
        cast.require(given.code == "interactionNotPending", f"refused, but as no longer open: {given}")
        cast.require(report == "nobody", f"{given}, and the script got {report!r}")
        cast.require(InteractionStatus.ANSWERED not in history, f"{given}, and the question was {history}")
    failed = StepStatus.FAILED in cast.step_statuses(cast.world.run_named("asking-briefly"), "ship")
    cast.require(failed is not given.accepted, f"{given}, and the step has {'failed' if failed else 'not failed'}")


QUESTION_RACES = (
    Race("answer x interrupt", answer_x_interrupt, schedules=100),
    Race("two answers", two_answers, schedules=100),
    Race("answer x timeout", answer_x_timeout, time_flows=True, schedules=100),
    Race("answer x withdrawal", answer_x_withdrawal, failing=frozenset({"bad"}), schedules=100),
    Race(
        "answer x claim",
        answer_x_claim,
        time_flows=True,
        slow=("a: look", "a: commit", "a: sandbox closed"),
        schedules=100,
    ),
)
