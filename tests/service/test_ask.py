"""Questions to people (P7): durable, open through interrupt and restart, answered from anywhere, once."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from sidestep.model.errors import AnswerInvalid, InteractionNotPending
from sidestep.model.events import InteractionChanged, InteractionStatus
from sidestep.model.run import FailureCode, RunStatus
from sidestep.settings import Settings
from sidestep.store.memory import InMemoryRunStore
from tests.service.test_nested import script
from tests.support.service_harness import Harness, LivingOwners

if TYPE_CHECKING:
    from pathlib import Path

    from sidestep.model.ports import Committed


ASK = """
from sidestep import ask

async def main():
    return {"report": "", "data": await ask("Ship it?", id="ship", choices=["yes", "no"])}
"""
ASK_TIMED = """
from sidestep import ask, failure

async def main():
    try:
        return {"report": "", "data": await ask("Ship it?", id="ship", timeout_s=10)}
    except TimeoutError as error:
        return {"report": "", "data": failure(error)["code"]}
"""
ASK_UNCAUGHT = """
from sidestep import ask

async def main():
    await ask("Ship it?", id="ship", timeout_s=4)
"""
ASK_BESIDE_A_FAILURE = """
from sidestep import ask, command, parallel

async def main():
    try:
        await parallel([ask("Ship it?", id="ship"), command(["no"], id="no")])
    except RuntimeError:
        await command(["go on"], id="go on")
"""
ASK_FORM = """
from sidestep import ask

async def main():
    schema = {"type": "object", "required": ["port"], "properties": {"port": {"type": "integer", "maximum": 9}}}
    return {"report": "", "data": await ask("Which?", id="which", schema=schema)}
"""


def beside(h: Harness) -> InMemoryRunStore:
    """Another process's store on the same journal."""
    assert isinstance(h.store, InMemoryRunStore)
    return InMemoryRunStore(h.clock, h.settings, h.store.journal)


async def history_of(h: Harness, run_id: str) -> list[tuple[str, Any, str | None]]:
    bodies = [event.body for event in await h.store.read_events(run_id, after_sequence=0, limit=500)]
    return [
        (body.status.value, body.answer if body.status is InteractionStatus.ANSWERED else None, body.by)
        for body in bodies
        if isinstance(body, InteractionChanged)
    ]


async def test_p7_an_answer_completes_the_step_and_is_journaled_once(tmp_path: Path) -> None:
    async with Harness(tmp_path) as h:
        task = h.start(ASK)
        question = await h.asked("run_a000000000000001")
        assert (question.title, [choice.id for choice in question.choices]) == ("Ship it?", ["yes", "no"])
        given = await h.service.answer(question.interaction_id, "yes", by="window 1")
        assert (given.accepted, given.recorded) == (True, "yes")
        record = (await task).record
        assert record.status is RunStatus.COMPLETED
        assert (record.pending, record.result and record.result.data_json) == (0, '"yes"')
        assert await history_of(h, record.run_id) == [("asked", None, None), ("answered", "yes", "window 1")]


async def test_p7_the_first_durable_answer_wins_and_the_second_is_told_it(tmp_path: Path) -> None:
    async with Harness(tmp_path) as h:
        task = h.start(ASK)
        question = await h.asked("run_a000000000000001")
        both = await asyncio.gather(
            h.service.answer(question.interaction_id, "no", by="1"),
            h.service.answer(question.interaction_id, "yes", by="2"),
        )
        assert [(given.accepted, given.recorded) for given in both] == [(True, "no"), (False, "no")]
        assert (await task).record.result.data_json == '"no"'
        later = await h.service.answer(question.interaction_id, "yes", by="3")
        assert (later.accepted, later.recorded) == (False, "no")


async def test_p7_a_question_stays_open_while_its_run_is_stopped_and_is_not_asked_again(tmp_path: Path) -> None:
    async with Harness(tmp_path) as h:
        task = h.start(ASK)
        question = await h.asked("run_a000000000000001")
        stopped = (await h.service.interrupt(question.run_id, by="person")).record
        await task
        assert (stopped.status, stopped.pending) == (RunStatus.INTERRUPTED, 1)
        assert (await h.store.open_questions(question.run_id)) == [question]
        resumed = h.resume(question.run_id)
        await h.status(question.run_id, RunStatus.RUNNING)
        await h.service.answer(question.interaction_id, "yes", by="person")
        assert (await resumed).status is RunStatus.COMPLETED
        assert [status for status, _, _ in await history_of(h, question.run_id)] == ["asked", "answered"]


async def test_p7_an_answer_to_a_stopped_run_is_kept_and_taken_on_resume(tmp_path: Path) -> None:
    """P7, G5: nothing but the answer is appended after the stop, and no epoch grows."""
    async with Harness(tmp_path) as h:
        task = h.start(ASK)
        question = await h.asked("run_a000000000000001")
        stopped = (await h.service.interrupt(question.run_id, by="person")).record
        await task
        await h.service.answer(question.interaction_id, "no", by="person")
        after = await h.store.read(question.run_id)
        assert (after.status, after.epoch, after.pending) == (RunStatus.INTERRUPTED, stopped.epoch, 0)
        assert (await h.kinds(question.run_id))[-2:] == ["status:interrupted", "interaction"]
        record = await h.resume(question.run_id)
        assert record.result is not None
        assert record.result.data_json == '"no"'


async def test_p7_another_window_answers(tmp_path: Path) -> None:
    """P7, J10: the owner hears of an answer that another process wrote."""
    async with Harness(tmp_path) as h, Harness(tmp_path, store=beside(h), owners=LivingOwners("owner-b")) as other:
        task = h.start(ASK)
        question = await h.asked("run_a000000000000001")
        given = await other.service.answer(question.interaction_id, "yes", by="window 2")
        assert given.accepted
        assert (await task).record.status is RunStatus.COMPLETED


async def test_p7_a_restart_finds_the_question(tmp_path: Path) -> None:
    """P7: its owner died; the question is still there, and a resume waits for the same one."""
    dead: set[str] = set()
    async with Harness(tmp_path, owners=LivingOwners("owner-a", dead)) as h:
        h.start(ASK)
        question = await h.asked("run_a000000000000001")
        dead.add("owner-a")
        async with Harness(tmp_path, store=beside(h), owners=LivingOwners("owner-b", dead)) as other:
            recovered = await other.store.read(question.run_id)
            assert (recovered.status, recovered.reason, recovered.pending) == (RunStatus.INTERRUPTED, "crash", 1)
            task = other.resume(question.run_id)
            await other.status(question.run_id, RunStatus.RUNNING)
            await other.service.answer(question.interaction_id, "yes", by="window 2")
            assert (await task).status is RunStatus.COMPLETED


async def test_p7_a_question_nobody_answers_in_time_is_withdrawn(tmp_path: Path) -> None:
    """P7, T1: the step fails with code timeout; a later answer is refused."""
    async with Harness(tmp_path) as h:
        task = h.start(ASK_TIMED)
        question = await h.asked("run_a000000000000001")
        h.clock.advance(10)
        record = (await task).record
        assert (record.pending, record.result and record.result.data_json) == (0, '"timeout"')
        assert [status for status, _, _ in await history_of(h, record.run_id)] == ["asked", "withdrawn"]
        with pytest.raises(InteractionNotPending) as refused:
            await h.service.answer(question.interaction_id, "late", by="person")
        assert refused.value.recorded_json is None


async def test_p7_the_failure_says_that_nobody_answered(tmp_path: Path) -> None:
    async with Harness(tmp_path) as h:
        task = h.start(ASK_UNCAUGHT)
        await h.asked("run_a000000000000001")
        h.clock.advance(4)
        error = (await task).record.error
        assert error is not None
        assert (error.code, error.message) == (FailureCode.TIMEOUT, "nobody answered within 4 s")


async def test_p7_a_question_whose_sibling_failed_is_withdrawn(tmp_path: Path) -> None:
    async with Harness(tmp_path) as h:
        task, run_id = await h.running(ASK_BESIDE_A_FAILURE, "no")
        question = await h.asked(run_id)
        withdrawn = h.service.listeners.expect(run_id, lambda record: record.pending == 0)
        h.commands.held.add("go on")
        h.commands.fail("no")
        assert (await withdrawn).status is RunStatus.RUNNING
        assert await h.store.open_questions(run_id) == []
        with pytest.raises(InteractionNotPending):
            await h.service.answer(question.interaction_id, "yes", by="person")
        h.commands.finish("go on")
        assert (await task).record.status is RunStatus.COMPLETED


async def test_p7_an_answer_that_does_not_fit_is_refused_with_every_problem(tmp_path: Path) -> None:
    async with Harness(tmp_path) as h:
        task = h.start(ASK_FORM)
        question = await h.asked("run_a000000000000001")
        for wrong, paths in (({}, [""]), ({"port": 12}, ["/port"]), ("7", [""])):
            with pytest.raises(AnswerInvalid) as refused:
                await h.service.answer(question.interaction_id, wrong, by="person")
            assert [problem.path for problem in refused.value.problems] == paths
        await h.service.answer(question.interaction_id, {"port": 7}, by="person")
        assert (await task).record.result.data_json == '{"port":7}'


async def test_p7_an_unknown_question_and_one_of_a_deleted_run_are_not_pending(tmp_path: Path) -> None:
    async with Harness(tmp_path) as h:
        with pytest.raises(InteractionNotPending):
            await h.service.answer("ask_nothing", "yes", by="person")
        task = h.start(ASK)
        question = await h.asked("run_a000000000000001")
        await h.service.interrupt(question.run_id, by="person")
        await task
        await h.service.delete(question.run_id)
        with pytest.raises(InteractionNotPending):
            await h.service.answer(question.interaction_id, "yes", by="person")


async def test_p1_a_schema_that_is_none_is_refused_before_anybody_is_asked(tmp_path: Path) -> None:
    async with Harness(tmp_path) as h:
        source = ASK_FORM.replace('"object"', '"objekt"')
        record = (await h.start(source)).record
        assert record.status is RunStatus.FAILED
        assert record.error is not None
        assert "/type" in record.error.message
        assert await history_of(h, record.run_id) == []


async def test_p7_an_answer_that_is_too_long_is_refused_before_it_is_recorded(tmp_path: Path) -> None:
    async with Harness(tmp_path, settings=Settings(step_output_bytes_max=100)) as h:
        task = h.start(ASK.replace(', choices=["yes", "no"]', ""))
        question = await h.asked("run_a000000000000001")
        with pytest.raises(AnswerInvalid, match="longer than 100 bytes"):
            await h.service.answer(question.interaction_id, "x" * 99, by="person")
        await h.service.answer(question.interaction_id, "x" * 98, by="person")
        assert (await task).record.status is RunStatus.COMPLETED


@pytest.mark.parametrize("question", [ASK_FORM, ASK.replace(', choices=["yes", "no"]', "")])
async def test_p7_an_answer_that_cannot_be_kept_is_refused_as_one_that_does_not_fit(
    tmp_path: Path, question: str
) -> None:
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    async with Harness(tmp_path) as h:
        task = h.start(question)
        asked = await h.asked("run_a000000000000001")
        for answer in ("\ud800", {"port": 1, "\ud800": 2}, float("nan"), {"port": float("inf")}, deep):
            with pytest.raises(AnswerInvalid):
                await h.service.answer(asked.interaction_id, answer, by="person")
        await h.service.interrupt(asked.run_id, by="person")
        assert (await task).record.pending == 1


async def resumed_after_the_failure(h: Harness, task: asyncio.Task[Any], run_id: str) -> asyncio.Task[Any]:
    """Fail the sibling, interrupt the run the moment that is durable, resume it, and come to what follows."""
    interrupting: list[asyncio.Task[Any]] = []

    def interrupt_at_the_failure(committed: Committed) -> None:
        if committed.record.steps.failed and not interrupting:
            interrupting.append(asyncio.create_task(h.service.interrupt(run_id, by="person")))

    h.service.listeners.listen(interrupt_at_the_failure)
    h.commands.fail("no")
    assert (await task).record.pending == 1
    await interrupting[0]
    h.commands.held.add("go on")
    resumed = h.resume(run_id)
    await h.commands.called("go on")
    return resumed


async def test_p7_a_question_that_a_replay_never_reaches_is_withdrawn(tmp_path: Path) -> None:
    """P7, P3: its sibling's failure, durable before the interrupt, is replayed before it would be asked again."""
    async with Harness(tmp_path) as h:
        task, run_id = await h.running(ASK_BESIDE_A_FAILURE, "no")
        question = await h.asked(run_id)
        resumed = await resumed_after_the_failure(h, task, run_id)
        assert h.commands.count("no") == 1
        await h.reached(run_id, lambda record: record.pending == 0)
        with pytest.raises(InteractionNotPending):
            await h.service.answer(question.interaction_id, "yes", by="person")
        h.commands.finish("go on")
        assert (await resumed).status is RunStatus.COMPLETED


async def test_p7_so_is_what_a_nested_run_asked_and_one_nested_in_it(tmp_path: Path) -> None:
    """P7, P3: the replay gives the step up before it is done again; its run stays stopped, and needs no answer."""
    script(tmp_path, "inner", ASK)
    script(
        tmp_path, "child", "from sidestep import workflow\n\nasync def main():\n    await workflow('inner', id='in')\n"
    )
    source = ASK_BESIDE_A_FAILURE.replace('ask("Ship it?", id="ship")', 'workflow("child", id="nested")')
    source = source.replace("import ask,", "import workflow,")
    async with Harness(tmp_path) as h:
        task, run_id = await h.running(source, "no")
        question = await h.asked(run_id)
        resumed = await resumed_after_the_failure(h, task, run_id)
        await h.reached(run_id, lambda record: record.pending == 0)
        inner = await h.store.read(question.run_id)
        assert (inner.status, inner.depth, inner.pending) == (RunStatus.INTERRUPTED, 2, 0)
        with pytest.raises(InteractionNotPending):
            await h.service.answer(question.interaction_id, "yes", by="person")
        h.commands.finish("go on")
        assert (await resumed).status is RunStatus.COMPLETED
