"""The built-in `research`: rounds of searching, votes, citations, and failures and resumes inside. J4, J5, P1, P3."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from sidestep.model.run import RunStatus
from sidestep.scripts.resolver import NamedScript
from tests.support.answering_agent import AnsweringAgent, Turns, data_of, report_of, restarted
from tests.support.scripted_agents import breaks, never
from tests.support.service_harness import Harness, LivingOwners

if TYPE_CHECKING:
    from pathlib import Path

YES = {"vote": "supported", "reason": "The source says so."}
NO = {"vote": "refuted", "reason": "The source says the contrary."}
UNSURE = {"vote": "unclear", "reason": "I could not open it."}
SCOPE = {"angles": ["How fast is it?", "What speaks against it?"]}


def sources(*places: str) -> dict[str, Any]:
    return {"sources": [{"where": place, "title": f"On {place}"} for place in places]}


def reading(*claims: tuple[str, int], leads: tuple[str, ...] = ()) -> dict[str, Any]:
    told = [{"claim": claim, "quote": f"'{claim}'", "weight": weight} for claim, weight in claims]
    return {"claims": told, "leads": list(leads)}


# Two searches find three sources, one of them twice; they make three claims, one of them twice.
ANSWERS: dict[str, Any] = {
    "scope": SCOPE,
    "search:1:1": sources("https://a.test/x", "b.md"),
    "search:1:2": sources("https://a.test/x/#part", "c.md"),
    "read:1": reading(("It is fast.", 3)),
    "read:2": reading(("It is fast", 4), ("It is old.", 2)),
    "read:3": reading(("It breaks.", 5)),
    "vote": YES,
    "write": "It is fast [1][2], but it breaks [3].",
}


def workflow(**args: Any) -> dict[str, Any]:
    return {
        "script": NamedScript("research"),
        "args": {"question": "Is it any good?", "depth": 1, "breadth": 2, **args},
    }


def agent_of(h: Harness, answers: dict[str, Any] | None = None, name: str = "tester") -> AnsweringAgent:
    made = AnsweringAgent({**ANSWERS, **(answers or {})}, name)
    h.agents.agents.add(made)
    return made


async def test_claims_are_found_voted_on_and_cited(tmp_path: Path) -> None:
    async with Harness(tmp_path) as h:
        agent = agent_of(h)
        record = await h.completed("", **workflow())
        told = data_of(record)
        assert [source["where"] for source in told["sources"]] == ["https://a.test/x", "b.md", "c.md"]
        assert [(each["claim"], each["weight"], each["verdict"]) for each in told["claims"]] == [
            ("It breaks.", 5, "supported"),
            ("It is fast.", 4, "supported"),
            ("It is old.", 2, "supported"),
        ]
        assert [support["source"] for support in told["claims"][1]["sources"]] == [1, 2]
        assert report_of(record) == (
            "# Is it any good?\n\nIt is fast [1][2], but it breaks [3].\n\n## Sources\n\n"
            "1. On https://a.test/x: <https://a.test/x>\n2. On b.md: <b.md>\n3. On c.md: <c.md>\n"
        )
        assert "- It is fast. [1][2]" in agent.prompt_of["write:1"]
        assert "b.md: 'It is fast'" in agent.prompt_of["vote:2:1"]


def most() -> dict[str, Any]:
    """Answers with which every search, claim and vote is one more."""
    answers: dict[str, Any] = {"scope": {"angles": ["a", "b", "c"]}, "write": "It is so [999]."}
    for level, first in ((1, 1), (2, 13)):
        for at in range(3):
            answers[f"search:{level}:{at + 1}"] = sources(*[f"s{first + 4 * at + n}" for n in range(4)])
    for number in range(1, 25):
        leads = tuple(f"lead {number} {n}" for n in range(3))
        answers[f"read:{number}"] = reading(*[(f"claim {number} {n}", 3) for n in range(5)], leads=leads)
    return answers | {f"vote:{at}:{n}": vote for at in range(1, 11) for n, vote in ((1, YES), (2, NO), (3, YES))}


async def test_what_it_costs_is_what_the_readme_says(tmp_path: Path) -> None:
    """Scope, searches, sources, two votes a claim that nobody contests, writing."""
    async with Harness(tmp_path) as h:
        agent = agent_of(h)
        await h.completed("", **workflow())
        assert len(agent.asked) == 1 + 2 + 3 + 3 * 2 + 1


@pytest.mark.slow
async def test_by_default_it_costs_63_agent_calls_at_most(tmp_path: Path) -> None:
    """The README's number, when every search, claim and vote is one more."""
    async with Harness(tmp_path) as h:
        agent = AnsweringAgent(most())
        h.agents.agents.add(agent)
        record = await h.completed("", script=NamedScript("research"), args={"question": "Why?"})
        assert len(data_of(record)["claims"]) == 120
        assert len(agent.asked) == len(set(agent.asked)) == 63
        assert "write:2" in agent.asked


@pytest.mark.slow
async def test_by_default_it_costs_185_agent_calls_with_answers_that_do_not_fit(tmp_path: Path) -> None:
    """The README's worst case: all steps but the two that write have an answer that has to fit."""
    async with Harness(tmp_path) as h:
        agent = AnsweringAgent(
            {step: Turns([{}, {}, answer]) if isinstance(answer, dict) else answer for step, answer in most().items()}
        )
        h.agents.agents.add(agent)
        await h.completed("", script=NamedScript("research"), args={"question": "Why?"})
        assert len(agent.asked) == 185


@pytest.mark.parametrize(
    ("cast", "votes", "asked", "verdict"),
    [
        ([YES, YES], 3, 2, "supported"),
        ([NO, NO], 3, 2, "refuted"),
        ([YES, NO, YES], 3, 3, "supported"),
        ([YES, NO, NO], 3, 3, "refuted"),
        ([YES, UNSURE, NO], 3, 3, "unclear"),
        ([UNSURE, UNSURE], 3, 2, "unclear"),
        ([YES], 1, 1, "supported"),
        ([YES, NO], 2, 2, "unclear"),
        ([YES, NO, YES, NO, YES], 5, 5, "supported"),
        ([breaks("busy"), YES, YES], 3, 3, "supported"),
        ([breaks("busy"), breaks("busy"), YES], 3, 3, "unclear"),
    ],
)
async def test_a_claim_stands_with_a_majority_of_all_votes(
    tmp_path: Path, cast: list[Any], votes: int, asked: int, verdict: str
) -> None:
    async with Harness(tmp_path) as h:
        agent = agent_of(h, {f"vote:1:{n}": vote for n, vote in enumerate(cast, 1)})
        record = await h.completed("", **workflow(claims_max=1, votes=votes))
        assert sum(step.startswith("vote:1:") for step in agent.asked) == asked
        assert data_of(record)["claims"][0]["verdict"] == verdict


async def test_what_did_not_stand_is_told_and_not_given_to_the_writer(tmp_path: Path) -> None:
    async with Harness(tmp_path) as h:
        agent = agent_of(h, {"vote:1": NO, "vote:2": YES, "write": "Fast [2]."})
        record = await h.completed("", **workflow(claims_max=2))
        assert "It breaks" not in agent.prompt_of["write:1"]
        assert "- refuted: It breaks. [3] (The source says the contrary.)" in report_of(record)
        assert "- not voted on: It is old. [2]" in report_of(record)


async def test_nothing_confirmed_is_said_and_nobody_is_asked_to_write(tmp_path: Path) -> None:
    async with Harness(tmp_path) as h:
        agent = agent_of(h, {"vote": NO})
        record = await h.completed("", **workflow())
        assert "write:1" not in agent.asked
        assert "**No claim was confirmed**" in report_of(record)
        assert data_of(record)["answer"] is None


@pytest.mark.parametrize(
    ("first", "told"), [("Fast [9].", "it cites [9], which is no source"), ("Fast.", "it cites no source")]
)
async def test_a_text_that_cites_what_is_not_there_is_sent_back_once(tmp_path: Path, first: str, told: str) -> None:
    async with Harness(tmp_path) as h:
        agent = agent_of(h, {"write:1": first, "write:2": "Fast [1]."})
        record = await h.completed("", **workflow())
        assert told in agent.prompt_of["write:2"]
        assert "Fast [1]." in report_of(record)


@pytest.mark.parametrize("write", ["Fast [9].", breaks("busy")])
async def test_a_text_that_cannot_be_had_leaves_the_claims_themselves(tmp_path: Path, write: Any) -> None:
    async with Harness(tmp_path) as h:
        agent_of(h, {"write": write})
        record = await h.completed("", **workflow())
        assert "# Is it any good?\n\n- It breaks. [3]\n- It is fast. [1][2]\n- It is old. [2]\n" in report_of(record)
        assert "[9]" not in report_of(record)


async def test_the_next_round_follows_new_leads_and_reads_no_source_twice(tmp_path: Path) -> None:
    answers = {
        "read:1": reading(("It is fast.", 3), leads=("How fast is it?", "Who made it?")),
        "read:3": reading(("It breaks.", 5), leads=("who made it", "Since when?")),
        "search:2": sources("b.md", "d.md"),
        "read:4": reading(("Ada made it.", 1), leads=("Who made it?",)),
    }
    async with Harness(tmp_path) as h:
        agent = agent_of(h, answers)
        record = await h.completed("", **workflow(depth=3))
        searches = [step for step in agent.asked if step.startswith("search")]
        assert sorted(searches) == ["search:1:1", "search:1:2", "search:2:1", "search:2:2"]
        assert "Who made it?" in agent.prompt_of["search:2:1"]
        assert "- c.md" in agent.prompt_of["search:2:1"]
        reads = [step for step in agent.asked if step.startswith("read")]
        assert sorted(reads) == ["read:1", "read:2", "read:3", "read:4"]
        assert "Ada made it." in [claim["claim"] for claim in data_of(record)["claims"]]


async def test_searches_and_readings_that_fail_are_told_and_sink_nothing(tmp_path: Path) -> None:
    """P3"""
    async with Harness(tmp_path) as h:
        agent_of(h, {"search:1:2": breaks("no network"), "read:2": breaks("too long")})
        record = await h.completed("", **workflow())
        told = data_of(record)
        assert told["lost"] == ["search What speaks against it?: no network", "read b.md: too long"]
        assert [claim["claim"] for claim in told["claims"]] == ["It is fast."]
        assert "## What failed\n\n- search What speaks against it?: no network\n- read b.md: too long" in report_of(
            record
        )


async def test_j5_when_every_search_fails_the_run_fails_and_a_retry_searches_again(tmp_path: Path) -> None:
    async with Harness(tmp_path) as h:
        agent = agent_of(h, {"search:1:1": Turns([breaks("no network"), sources("b.md")])})
        agent.answers["search:1:2"] = breaks("no network")
        failed = (await h.start("", **workflow())).record
        assert failed.status is RunStatus.FAILED
        assert failed.error is not None
        assert (failed.error.message, failed.error.step_id) == ("no network", "search:1:1")
        record = await h.retry(failed.run_id)
        assert agent.asked.count("scope") == 1
        assert [source["where"] for source in data_of(record)["sources"]] == ["b.md"]


async def test_p1_a_verifier_that_is_not_configured_fails_the_run(tmp_path: Path) -> None:
    async with Harness(tmp_path) as h:
        agent = agent_of(h)
        failed = (await h.start("", **workflow(verifier="nobody"))).record
        assert failed.error is not None
        assert "there is no agent 'nobody'" in failed.error.message
        agent_of(h, name="nobody")
        record = await h.retry(failed.run_id)
        assert data_of(record)["answer"]
        assert agent.asked.count("read:1") == 1


@pytest.mark.parametrize("cut", ["scope", "search:1:2", "read:3", "vote:2:1", "write:1"])
async def test_c1_a_process_that_dies_anywhere_loses_no_finished_step(tmp_path: Path, cut: str) -> None:
    """C1, J4: what was finished is asked by no other process."""
    dead: set[str] = set()
    async with Harness(tmp_path, owners=LivingOwners("owner-a", dead)) as h:
        first = agent_of(h, {cut: never})
        task = h.start("", **workflow(at_once=1))
        await first.called_for(cut)
        run_id = h.committed[0].record.run_id
        finished = completed(await h.kinds(run_id))
        async with restarted(h, tmp_path, dead) as other:
            second = agent_of(other)
            record = await other.resume(run_id)
            assert finished.isdisjoint(second.asked)
            assert set(second.asked) <= completed(await h.kinds(run_id))
            assert data_of(record)["answer"] == ANSWERS["write"]
        task.cancel()


def completed(kinds: list[str]) -> set[str]:
    """Ids of the steps that the journal has as completed."""
    return {kind.removeprefix("step:completed:") for kind in kinds if kind.startswith("step:completed:")}


@pytest.mark.parametrize("wrong", [{"depth": 0}, {"breadth": 9}, {"votes": 8}, {"claims_max": 41}])
async def test_arguments_out_of_range_are_refused_before_any_step(tmp_path: Path, wrong: dict[str, int]) -> None:
    async with Harness(tmp_path) as h:
        agent = agent_of(h)
        failed = (await h.start("", **workflow(**wrong))).record
        (name,) = wrong
        assert failed.error is not None
        assert f"{name} must be from 1 to" in failed.error.message
        assert agent.asked == []
