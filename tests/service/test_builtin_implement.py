"""The built-in `implement`: rounds, what it asks and reports, and failures and resumes inside. J4, J5, P1, P3, V1."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from sidestep.model.run import FailureCode, RunStatus
from sidestep.scripts.resolver import NamedScript
from tests.support.answering_agent import AnsweringAgent, Turns, data_of, report_of, restarted
from tests.support.scripted_agents import breaks, never
from tests.support.scripted_executor import OUTPUT
from tests.support.service_harness import Harness, LivingOwners

if TYPE_CHECKING:
    from pathlib import Path

CLEAN = {"blockers": [], "suggestions": []}
BLOCKED = {"blockers": [{"file": "a.py", "line": 3, "problem": "it loses data"}], "suggestions": ["name it better"]}
RED = {**OUTPUT, "exit_code": 1, "stdout": "1 failed: test_a"}
TEST = ["make", "check"]


def workflow(**args: Any) -> dict[str, Any]:
    return {"script": NamedScript("implement"), "args": {"task": "Add a flag.", "test": TEST, **args}}


def agent_of(h: Harness, answers: dict[str, Any] | None = None, name: str = "tester") -> AnsweringAgent:
    made = AnsweringAgent({"implement": "Added it.", "review": CLEAN, "mend": "Mended it.", **(answers or {})}, name)
    h.agents.agents.add(made)
    return made


async def test_green_at_once_takes_two_agent_calls(tmp_path: Path) -> None:
    async with Harness(tmp_path) as h:
        agent = agent_of(h)
        record = await h.completed("", **workflow())
        assert agent.asked == ["implement", "review:1"]
        assert (data_of(record)["green"], data_of(record)["blockers"]) == (True, [])
        assert report_of(record).startswith("# Green after 1 round\n\nAdd a flag.\n\nTests: `make check`\n")
        assert "Add a flag." in agent.prompt_of["implement"]
        assert "make check" in agent.prompt_of["implement"]


async def test_red_tests_and_blockers_are_mended_and_judged_again(tmp_path: Path) -> None:
    async with Harness(tmp_path) as h:
        h.commands.outputs["tests:1"] = RED
        agent = agent_of(h, {"review:1": BLOCKED})
        record = await h.completed("", **workflow())
        assert agent.asked == ["implement", "review:1", "mend:1", "review:2"]
        assert "1 failed: test_a" in agent.prompt_of["mend:1"]
        assert "a.py:3: it loses data" in agent.prompt_of["mend:1"]
        told = data_of(record)
        assert [each["green"] for each in told["rounds"]] == [False, True]
        assert [each["tests"] for each in told["rounds"]] == ["red (exit code 1)", "green"]
        assert "| 1 | red (exit code 1) | 1 blocker |" in report_of(record)
        phases = [kind for kind in await h.kinds(record.run_id) if kind.startswith("phase:")]
        expected = ["look at the project", "implement", "verify", "mend", "verify"]
        assert phases == [f"phase:{name}" for name in expected]


async def test_out_of_rounds_is_said_with_what_is_left_and_mends_nothing_unseen(tmp_path: Path) -> None:
    async with Harness(tmp_path) as h:
        agent = agent_of(h, {"review": BLOCKED})
        record = await h.completed("", **workflow(rounds=2))
        assert agent.asked == ["implement", "review:1", "mend:1", "review:2"]
        assert (data_of(record)["green"], data_of(record)["blockers"]) == (False, ["a.py:3: it loses data"])
        assert report_of(record).startswith("# Still red after 2 rounds\n")
        assert "## What is left\n\n- a.py:3: it loses data" in report_of(record)
        assert "- name it better" in report_of(record)


@pytest.mark.parametrize("rounds", [1, 3, 10])
async def test_it_costs_two_agent_calls_a_round_at_most(tmp_path: Path, rounds: int) -> None:
    async with Harness(tmp_path) as h:
        agent = agent_of(h, {"review": BLOCKED})
        await h.completed("", **workflow(rounds=rounds))
        assert len(agent.asked) == 2 * rounds


async def test_reviews_that_do_not_fit_cost_two_calls_more_each_at_most(tmp_path: Path) -> None:
    """The README's worst case: 12 with three rounds."""
    misfit = {"blockers": "many"}
    async with Harness(tmp_path) as h:
        reviews = {f"review:{n}": Turns([misfit, misfit, BLOCKED]) for n in (1, 2, 3)}
        agent = agent_of(h, reviews)
        await h.completed("", **workflow())
        assert len(agent.asked) == 12


async def test_review_and_tests_run_at_once(tmp_path: Path) -> None:
    """P3"""
    async with Harness(tmp_path) as h:
        agent = agent_of(h)
        task, _ = await h.running("", "tests:1", **workflow())
        await agent.called(2)
        assert agent.asked == ["implement", "review:1"]
        h.commands.finish("tests:1")
        assert data_of((await task).record)["green"]


async def test_implementer_and_reviewer_are_other_agents_when_named(tmp_path: Path) -> None:
    async with Harness(tmp_path) as h:
        default, writer, judge = (agent_of(h, name=name) for name in ("tester", "writer", "judge"))
        await h.completed("", **workflow(implementer="writer", reviewer="judge"))
        assert (default.asked, writer.asked, judge.asked) == ([], ["implement"], ["review:1"])


async def test_no_agent_says_what_to_do_and_another_run_of_the_same_goes_on(tmp_path: Path) -> None:
    """P1: an unknown agent is told before any work of its own; what came before is kept."""
    async with Harness(tmp_path) as h:
        failed = (await h.start("", **workflow())).record
        assert failed.status is RunStatus.FAILED
        assert failed.error is not None
        assert "there is no agent" in failed.error.message
        assert (failed.error.file or "").endswith("implement.py")
        agent = agent_of(h)
        record = await h.retry(failed.run_id)
        assert data_of(record)["green"]
        assert agent.asked == ["implement", "review:1"]
        assert h.commands.count("find the last commit") == 1


async def test_j5_an_agent_that_fails_fails_the_run_and_a_retry_asks_it_again(tmp_path: Path) -> None:
    async with Harness(tmp_path) as h:
        agent = agent_of(h, {"implement": Turns([breaks("out of credit"), "Added it."])})
        failed = (await h.start("", **workflow())).record
        assert (failed.status, failed.error and failed.error.step_id) == (RunStatus.FAILED, "implement")
        assert failed.error is not None
        assert failed.error.code is FailureCode.INFRASTRUCTURE
        record = await h.retry(failed.run_id)
        assert data_of(record)["green"]
        assert agent.asked == ["implement", "implement", "review:1"]


async def test_a_reviewer_that_fails_while_the_tests_are_red_stops_nothing(tmp_path: Path) -> None:
    async with Harness(tmp_path) as h:
        h.commands.outputs["tests:1"] = RED
        agent = agent_of(h, {"review:1": breaks("no reviewer")})
        record = await h.completed("", **workflow())
        assert agent.asked == ["implement", "review:1", "mend:1", "review:2"]
        assert [each["review"] for each in data_of(record)["rounds"]] == ["failed: no reviewer", "0 blockers"]


async def test_green_tests_without_a_verdict_are_not_green_and_a_retry_asks_for_the_review_only(tmp_path: Path) -> None:
    """Nothing is claimed that nobody looked at, and nothing that is paid for is lost."""
    async with Harness(tmp_path) as h:
        agent = agent_of(h, {"review:1": Turns([breaks("no reviewer"), CLEAN])})
        failed = (await h.start("", **workflow())).record
        assert failed.status is RunStatus.FAILED
        assert failed.error is not None
        assert (failed.error.code, failed.error.step_id) == (FailureCode.INFRASTRUCTURE, "review:1")
        record = await h.retry(failed.run_id)
        assert data_of(record)["green"]
        assert agent.asked == ["implement", "review:1", "review:1"]
        assert h.commands.count("tests:1") == 1


async def test_v1_a_review_that_never_fits_the_schema_is_such_a_failure(tmp_path: Path) -> None:
    async with Harness(tmp_path) as h:
        agent = agent_of(h, {"review:1": "Looks good to me!"})
        failed = (await h.start("", **workflow())).record
        assert failed.error is not None
        assert (failed.error.code, failed.error.step_id) == (FailureCode.VALIDATION, "review:1")
        assert agent.asked == ["implement", *["review:1"] * 3]


async def test_interrupted_in_the_middle_it_goes_on_with_the_step_that_was_cut_off(tmp_path: Path) -> None:
    """J4: while an agent works and tests run; what was finished is not asked again."""
    async with Harness(tmp_path) as h:
        h.commands.outputs["tests:1"] = RED
        agent = agent_of(h, {"mend:1": Turns([never, "Mended it."])})
        task = h.start("", **workflow())
        await agent.called(3)
        run_id = h.committed[0].record.run_id
        await h.service.interrupt(run_id, by="person")
        assert (await task).record.status is RunStatus.INTERRUPTED
        resumed = await h.resume(run_id)
        assert data_of(resumed)["green"]
        assert agent.asked == ["implement", "review:1", "mend:1", "mend:1", "review:2"]
        assert (h.commands.count("tests:1"), h.commands.count("tests:2")) == (1, 1)


@pytest.mark.parametrize("cut", ["implement", "review:1", "mend:1", "review:2"])
async def test_c1_a_process_that_dies_at_any_agent_step_loses_no_finished_one(tmp_path: Path, cut: str) -> None:
    """C1, J4: the next process asks for that step again, and for no other."""
    order = ["implement", "review:1", "mend:1", "review:2"]
    dead: set[str] = set()
    async with Harness(tmp_path, owners=LivingOwners("owner-a", dead)) as h:
        h.commands.outputs["tests:1"] = RED
        first = agent_of(h, {cut: never})
        task = h.start("", **workflow())
        await first.called(order.index(cut) + 1)
        # Tests run beside a review; they are finished, too.
        run_id = h.committed[0].record.run_id
        if cut.startswith("review"):
            await h.told(f"told step:completed:tests:{cut[-1]}")
        async with restarted(h, tmp_path, dead) as other:
            other.commands.outputs["tests:1"] = RED
            second = agent_of(other)
            record = await other.resume(run_id)
            assert data_of(record)["green"]
            assert second.asked == order[order.index(cut) :]
            assert [each["green"] for each in data_of(record)["rounds"]] == [False, True]
            done_before = {call.step_id for call in h.commands.calls}
            assert done_before.isdisjoint(call.step_id for call in other.commands.calls)
        task.cancel()


async def test_tests_that_do_not_end_are_red(tmp_path: Path) -> None:
    async with Harness(tmp_path) as h:
        agent = agent_of(h)
        task, _ = await h.running("", "tests:1", **workflow(test_minutes=1))
        await agent.called(2)
        await h.told("told step:completed:review:1")
        h.clock.advance(61)
        record = (await task).record
        assert [each["tests"] for each in data_of(record)["rounds"]] == ["did not end", "green"]
        assert "did not end" in agent.prompt_of["mend:1"]


async def test_a_test_program_that_is_not_there_is_told_before_an_agent_is_paid(tmp_path: Path) -> None:
    async with Harness(tmp_path) as h:
        agent = agent_of(h)
        h.commands.outputs["look for the test program"] = {**OUTPUT, "exit_code": 127}
        failed = (await h.start("", **workflow())).record
        assert failed.error is not None
        assert "make is not there; say test=PROGRAM" in failed.error.message
        assert agent.asked == []


@pytest.mark.parametrize(
    ("listing", "texts", "expected"),
    [
        ("Makefile\npyproject.toml\n", {"Makefile": "all:\n\ttrue\ntest: all\n\tpytest\n"}, "make test"),
        ("Makefile\npyproject.toml\n", {"Makefile": "test := 1\n"}, "python3 -m pytest -q"),
        ("package.json\n", {"package.json": '{"scripts": {"test": "vitest run"}}'}, "npm test"),
        ("package.json\ntests\n", {"package.json": '{"scripts": {"test": "echo no test specified"}}'}, "python3 -m "),
        ("package.json\ngo.mod\n", {"package.json": "{"}, "go test ./..."),
        (".venv\ntests\n", {}, ".venv/bin/python -m pytest -q"),
        ("Cargo.toml\n", {}, "cargo test"),
        ("README.md\n", {}, None),
    ],
)
async def test_the_test_command_is_found_in_the_folder(
    tmp_path: Path, listing: str, texts: dict[str, str], expected: str | None
) -> None:
    async with Harness(tmp_path) as h:
        agent_of(h)
        h.commands.outputs["list the folder"] = {**OUTPUT, "stdout": listing}
        for name, text in texts.items():
            h.commands.outputs[f"read {name}"] = {**OUTPUT, "stdout": text}
        record = await h.completed("", **workflow(test=None))
        told = data_of(record)
        assert told["green"]
        assert " ".join(told["test"] or []).startswith(expected or "")
        assert (told["test"] is None) == (expected is None)
        # Without tests the report says so.
        assert ("**none were found**" in report_of(record)) == (expected is None)


@pytest.mark.parametrize("wrong", [{"rounds": 0}, {"rounds": 11}, {"task": "  "}])
async def test_arguments_without_a_meaning_are_refused_before_any_step(tmp_path: Path, wrong: dict[str, Any]) -> None:
    async with Harness(tmp_path) as h:
        agent = agent_of(h)
        failed = (await h.start("", **workflow(**wrong))).record
        assert failed.status is RunStatus.FAILED
        assert (agent.asked, h.commands.calls) == ([], [])
