"""The built-in `review`: what it compares, findings joined, refuted and ranked, and failures inside. J4, J5, P1, P3."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from sidestep.model.run import RunStatus
from sidestep.scripts.resolver import NamedScript
from tests.support.answering_agent import AnsweringAgent, Turns, data_of, report_of, restarted
from tests.support.scripted_agents import breaks, never
from tests.support.scripted_executor import OUTPUT
from tests.support.service_harness import Harness, LivingOwners

if TYPE_CHECKING:
    from pathlib import Path

LANES = ["correctness", "security", "tests", "simplicity"]
NOTHING: dict[str, Any] = {"findings": []}
HOLDS = {"holds": "yes", "reason": "I tried, and it fails."}
REFUTED = {"holds": "no", "reason": "The caller checks it."}


def finding(title: str, *, file: str = "a.py", line: int = 7, severity: str = "medium") -> dict[str, Any]:
    return {"file": file, "line": line, "severity": severity, "title": title, "detail": f"{title}, in detail."}


def found(*findings: dict[str, Any]) -> dict[str, Any]:
    return {"findings": list(findings)}


def workflow(**args: Any) -> dict[str, Any]:
    return {"script": NamedScript("review"), "args": args}


def said(text: str, exit_code: int = 0) -> dict[str, Any]:
    return {**OUTPUT, "exit_code": exit_code, "stdout": text}


def set_up(h: Harness, answers: dict[str, Any] | None = None, name: str = "tester") -> AnsweringAgent:
    """A repository with an uncommitted change of two files, and an agent."""
    h.commands.outputs |= {
        "find the repository": said("true\n"),
        "find the last commit": said("c0ffee\n"),
        "look for uncommitted changes": said("a.py\n"),
        "list new files": said("new.py\n"),
        "list changes": said("a.py\n"),
        "read changes": said("+x = 1\n"),
    }
    made = AnsweringAgent({"find": NOTHING, "verify": HOLDS, **(answers or {})}, name)
    h.agents.agents.add(made)
    return made


async def test_lanes_look_at_once_and_a_clean_change_costs_one_call_each(tmp_path: Path) -> None:
    """P3"""
    async with Harness(tmp_path) as h:
        agent = set_up(h)
        record = await h.completed("", **workflow())
        assert sorted(agent.asked) == sorted(f"find:{lane}" for lane in LANES)
        assert data_of(record)["findings"] == []
        assert report_of(record).startswith("# Review: nothing that holds\n")
        assert "+x = 1" in agent.prompt_of["find:tests"]
        assert "- new.py" in agent.prompt_of["find:tests"]


async def test_each_finding_is_given_to_somebody_who_tries_to_refute_it(tmp_path: Path) -> None:
    async with Harness(tmp_path) as h:
        agent = set_up(
            h,
            {
                "find:correctness": found(finding("drops the last row", severity="high")),
                "find:security": found(finding("shell injection", file="b.py", line=3, severity="critical")),
                "find:tests": found(finding("never fails", file="t.py", line=1, severity="low")),
                "verify:3": REFUTED,
            },
        )
        record = await h.completed("", **workflow())
        assert sorted(agent.asked[4:]) == ["verify:1:b.py:3", "verify:2:a.py:7", "verify:3:t.py:1"]
        assert "Claim: shell injection" in agent.prompt_of["verify:1:b.py:3"]
        told = data_of(record)["findings"]
        assert [(each["severity"], each["file"], each["line"], each["holds"]) for each in told] == [
            ("critical", "b.py", 3, "yes"),
            ("high", "a.py", 7, "yes"),
            ("low", "t.py", 1, "no"),
        ]
        report = report_of(record)
        assert report.startswith("# Review: 1 critical, 1 high\n")
        assert report.index("### `b.py:3` shell injection") < report.index("### `a.py:7` drops the last row")
        assert "## Refuted\n\n- `t.py:1` never fails: The caller checks it." in report


async def test_the_same_finding_of_two_lanes_is_verified_once_and_keeps_both_wordings(tmp_path: Path) -> None:
    async with Harness(tmp_path) as h:
        agent = set_up(
            h,
            {
                "find:correctness": found(
                    finding("index is off by one", line=7), finding("the error is swallowed", line=8)
                ),
                "find:tests": found(finding("Off by one in the index", line=9, severity="high")),
                "find:simplicity": found(finding("index is off by one", line=70)),
            },
        )
        record = await h.completed("", **workflow())
        told = data_of(record)["findings"]
        assert [(each["line"], each["lanes"], len(each["also"])) for each in told] == [
            (9, ["tests", "correctness"], 1),
            (8, ["correctness"], 0),
            (70, ["simplicity"], 0),
        ]
        assert len(agent.asked) == 4 + 3
        assert "It was also put so: index is off by one" in agent.prompt_of["verify:1:a.py:9"]


async def test_titles_without_words_are_only_the_same_when_they_are_equal(tmp_path: Path) -> None:
    async with Harness(tmp_path) as h:
        set_up(h, {"find:tests": found(finding("≠"), finding("数据丢失"), finding("数据丢失"), finding("竞争条件"))})
        told = data_of(await h.completed("", **workflow()))["findings"]
        assert sorted(each["title"] for each in told) == sorted(["≠", "数据丢失", "竞争条件"])


async def test_a_verifier_may_rate_it_otherwise_and_the_report_is_sorted_by_that(tmp_path: Path) -> None:
    async with Harness(tmp_path) as h:
        findings = found(finding("one", severity="critical"), finding("two", line=90, severity="low"))
        rated = {"verify:1": {**HOLDS, "severity": "low"}, "verify:2": {**HOLDS, "severity": "high"}}
        set_up(h, {"find:tests": findings, **rated})
        told = data_of(await h.completed("", **workflow()))["findings"]
        assert [(each["title"], each["severity"]) for each in told] == [("two", "high"), ("one", "low")]


async def test_findings_beyond_the_limit_are_told_as_not_verified(tmp_path: Path) -> None:
    async with Harness(tmp_path) as h:
        findings = found(*[finding(f"fault number {n} {'x' * n}", line=20 * n) for n in range(1, 6)])
        agent = set_up(h, {"find:tests": findings})
        record = await h.completed("", **workflow(verify_max=2, lanes=["tests"]))
        assert len(agent.asked) == 1 + 2
        holds = [each["holds"] for each in data_of(record)["findings"]]
        assert (holds.count("yes"), holds.count("unverified")) == (2, 3)
        assert report_of(record).count("there were more findings than are verified") == 3


async def test_by_default_it_costs_24_agent_calls_at_most(tmp_path: Path) -> None:
    """The README's number."""
    async with Harness(tmp_path) as h:
        agent = set_up(h)
        for lane in LANES:
            findings = [finding(f"{lane} {n}", file=f"{lane}.py", line=20 * n + 1) for n in range(15)]
            agent.answers[f"find:{lane}"] = found(*findings)
        record = await h.completed("", **workflow())
        assert len(data_of(record)["findings"]) == 60
        assert len(agent.asked) == 24


@pytest.mark.slow
async def test_at_its_worst_it_costs_144_agent_calls_by_default(tmp_path: Path) -> None:
    """The README's number: every step fails once, and every answer that fits is a third one."""
    misfit = {"findings": "many", "holds": "perhaps"}
    async with Harness(tmp_path) as h:
        agent = set_up(h)
        for lane in LANES:
            findings = [finding(f"{lane} {n}", file=f"{lane}.py", line=20 * n + 1) for n in range(5)]
            agent.answers[f"find:{lane}"] = Turns([*[misfit] * 5, found(*findings)])
            agent.answers |= {f"verify:{at}:{lane}.py": Turns([*[misfit] * 5, HOLDS]) for at in range(1, 21)}
        record = await h.completed("", **workflow())
        assert [each["holds"] for each in data_of(record)["findings"]] == ["yes"] * 20
        assert len(agent.asked) == 144


async def test_a_lane_that_fails_is_asked_once_more_and_then_told(tmp_path: Path) -> None:
    async with Harness(tmp_path) as h:
        answers = {
            "find:security": breaks("over the limit"),
            "find:tests": Turns([breaks("over the limit"), found(finding("kept"))]),
            "find:tests:again": found(finding("kept")),
        }
        agent = set_up(h, answers)
        record = await h.completed("", **workflow())
        assert sorted(agent.asked).count("find:security") == 1
        assert {"find:security:again", "find:tests:again"} < set(agent.asked)
        assert list(data_of(record)["failed_lanes"]) == ["security"]
        assert [each["title"] for each in data_of(record)["findings"]] == ["kept"]
        assert "**Partial**: these lanes failed, twice each.\n\n- security: over the limit" in report_of(record)


async def test_a_finding_whose_verification_fails_twice_is_kept_as_unverified(tmp_path: Path) -> None:
    async with Harness(tmp_path) as h:
        set_up(h, {"find:tests": found(finding("kept")), "verify": breaks("over the limit")})
        record = await h.completed("", **workflow())
        (told,) = data_of(record)["findings"]
        assert (told["holds"], told["reason"]) == ("unverified", "over the limit")
        assert "## Neither verified nor refuted\n\n### `a.py:7` kept" in report_of(record)


async def test_j5_when_every_lane_fails_the_run_fails_and_a_retry_asks_them_again(tmp_path: Path) -> None:
    async with Harness(tmp_path) as h:
        agent = set_up(h, {"find": breaks("over the limit")})
        failed = (await h.start("", **workflow(lanes=["tests", "security"]))).record
        assert failed.status is RunStatus.FAILED
        assert failed.error is not None
        assert failed.error.message == "over the limit"
        agent.answers["find"] = NOTHING
        record = await h.retry(failed.run_id)
        assert data_of(record)["findings"] == []
        assert len(agent.asked) == 4 + 2
        assert h.commands.count("read changes") == 1


@pytest.mark.parametrize("role", ["reviewer", "verifier"])
async def test_p1_an_agent_that_is_not_configured_fails_the_run_which_goes_on_once_it_is(
    tmp_path: Path, role: str
) -> None:
    """It is no failure of a lane or a verification, which would be told in a report that is final."""
    async with Harness(tmp_path) as h:
        agent = set_up(h, {"find:tests": found(finding("kept"))})
        failed = (await h.start("", **workflow(**{role: "nobody"}))).record
        assert failed.error is not None
        assert "there is no agent 'nobody'" in failed.error.message
        other = set_up(h, {"find:tests": found(finding("kept"))}, name="nobody")
        record = await h.retry(failed.run_id)
        assert [each["holds"] for each in data_of(record)["findings"]] == ["yes"]
        asked = {"reviewer": other.asked, "verifier": agent.asked}[role]
        assert sorted(asked) == sorted(f"find:{lane}" for lane in LANES)


async def test_c1_a_process_that_dies_while_findings_are_verified_loses_no_verdict(tmp_path: Path) -> None:
    """C1, J4"""
    dead: set[str] = set()
    findings = found(finding("one", line=10), finding("two", line=50), finding("three", line=90))
    async with Harness(tmp_path, owners=LivingOwners("owner-a", dead)) as h:
        first = set_up(h, {"find:tests": findings, "verify:2": never})
        task = h.start("", **workflow(at_once=1))
        await first.called(4 + 2)
        run_id = h.committed[0].record.run_id
        async with restarted(h, tmp_path, dead) as other:
            second = set_up(other)
            record = await other.resume(run_id)
            assert second.asked == ["verify:2:a.py:50", "verify:3:a.py:90"]
            assert [each["holds"] for each in data_of(record)["findings"]] == ["yes"] * 3
            assert other.commands.calls == []
        task.cancel()


async def test_at_once_is_how_many_agents_work_at_the_same_time(tmp_path: Path) -> None:
    """P3"""
    async with Harness(tmp_path) as h:
        agent = set_up(h, {"find": never})
        task = h.start("", **workflow(at_once=2))
        await agent.called(2)
        assert agent.open_sessions == 2
        await h.service.interrupt(h.committed[0].record.run_id, by="person")
        assert (await task).record.status is RunStatus.INTERRUPTED
        assert len(agent.asked) == 2


@pytest.mark.parametrize(
    ("outputs", "args", "commit", "what"),
    [
        ({"find the base": said("abc\n")}, {"base": "v1"}, "abc", "everything since v1"),
        ({}, {}, "c0ffee", "what is not committed yet"),
        (
            {"compare with origin/HEAD": said("", 128), "compare with origin/main": said("f00d\n")},
            {},
            "f00d",
            "this branch since it left origin/main",
        ),
        (
            {f"compare with {name}": said("", 128) for name in ("origin/HEAD", "origin/main", "origin/master", "main")}
            | {"compare with master": said("c0ffee\n"), "find the commit before": said("beef\n")},
            {},
            "beef",
            "the last commit",
        ),
    ],
)
async def test_what_is_compared_with(
    tmp_path: Path, outputs: dict[str, Any], args: dict[str, Any], commit: str, what: str
) -> None:
    async with Harness(tmp_path) as h:
        set_up(h)
        if any(name.startswith("compare") for name in outputs):
            h.commands.outputs |= {"look for uncommitted changes": said(""), "list new files": said("")}
        h.commands.outputs |= outputs
        record = await h.completed("", **workflow(**args))
        assert data_of(record)["base"] == commit
        assert what in report_of(record)
        diffs = [call.input["argv"] for call in h.commands.calls if call.step_id == "read changes"]
        assert commit in diffs[0]


@pytest.mark.parametrize(
    ("outputs", "args", "told"),
    [
        ({"find the repository": said("", 128)}, {}, "in no git repository"),
        ({"find the base": said("", 1)}, {"base": "nowhere"}, "no commit 'nowhere'"),
        ({"find the last commit": said("", 1)}, {}, "has no commits yet"),
        ({}, {"lanes": []}, "lanes is empty"),
        ({}, {"verify_max": 61}, "verify_max must be from 0 to 60"),
    ],
)
async def test_where_there_is_nothing_to_review_no_agent_is_asked(
    tmp_path: Path, outputs: dict[str, Any], args: dict[str, Any], told: str
) -> None:
    async with Harness(tmp_path) as h:
        agent = set_up(h)
        h.commands.outputs |= outputs
        failed = (await h.start("", **workflow(**args))).record
        assert failed.error is not None
        assert told in failed.error.message
        assert agent.asked == []


async def test_an_unchanged_base_is_a_report_without_agent_calls(tmp_path: Path) -> None:
    async with Harness(tmp_path) as h:
        agent = set_up(h)
        for name in ("list new files", "list changes", "read changes"):
            h.commands.outputs[name] = said("")
        h.commands.outputs["find the base"] = said("abc\n")
        record = await h.completed("", **workflow(base="v1"))
        assert report_of(record) == "# Review\n\nNothing was changed: everything since v1.\n"
        assert agent.asked == []
