"""`sidestep guide` and the code agree: its patterns run, its mistakes are some, its tables are complete."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner

from sidestep.cli.guide import guide_text
from sidestep.cli.program import program
from sidestep.model.run import FailureCode, RunStatus
from sidestep.scripts.agent_config import AgentConfigReader
from sidestep.scripts.check import check
from sidestep.scripts.primitives import PRIMITIVES
from sidestep.scripts.sandbox_language import MODULES
from tests.docs.documents import GUIDE, code_spans, fences, sections, table_rows, text_of, the_fence
from tests.support.answering_agent import AnsweringAgent, data_of, report_of
from tests.support.scripted_agents import breaks
from tests.support.scripted_executor import OUTPUT
from tests.support.service_harness import Harness
from tests.unit.runtime.scripted_host import conduct

if TYPE_CHECKING:
    from pathlib import Path

    from sidestep.model.execution import Call

# A page is what somebody reads, and what an agent can be given, at once.
PAGE_LINES_MAX = 220
PATTERNS = ("first", "rounds", "many", "verify", "patch", "again")
STEP_OPTIONS = {"title", "phase", "timeout_s", "on_error"}


def pattern(name: str) -> str:
    return the_fence(GUIDE, "python", f"pattern={name}").body


def said(stdout: str, exit_code: int = 0) -> dict[str, Any]:
    return {**OUTPUT, "stdout": stdout, "exit_code": exit_code}


def agent_of(h: Harness, answers: dict[str, Any]) -> AnsweringAgent:
    made = AnsweringAgent(answers)
    h.agents.agents.add(made)
    return made


def test_the_command_prints_the_page() -> None:
    done = CliRunner().invoke(program, ["guide"])
    assert done.exit_code == 0
    assert done.output == guide_text() + "\n"
    assert len(guide_text().splitlines()) <= PAGE_LINES_MAX


def test_there_are_five_patterns_and_a_first_script() -> None:
    assert tuple(fence.info[1].removeprefix("pattern=") for fence in fences(GUIDE, "python")) == PATTERNS


@pytest.mark.parametrize("name", PATTERNS)
def test_a_pattern_passes_the_check_without_a_word(name: str) -> None:
    assert check(pattern(name), f"{name}.py") == []


async def test_the_first_script_runs(tmp_path: Path) -> None:
    async with Harness(tmp_path) as h:
        agent = agent_of(h, {"write": "Ships are large."})
        h.commands.outputs["count"] = said("3\n")
        record = await h.completed(pattern("first"), args={"topic": "ships"})
        assert report_of(record) == "Ships are large."
        assert agent.prompts == ["Write 100 words about ships."]
        assert h.commands.calls[0].input["stdin"] == "Ships are large."


async def test_rounds_mend_until_green_and_stop_in_time(tmp_path: Path) -> None:
    async with Harness(tmp_path) as h:
        agent = agent_of(h, {"write": "done", "mend": "mended"})
        h.commands.outputs["tests:1"] = said("1 failed", 1)
        record = await h.completed(pattern("rounds"), args={"task": "Do it."})
        assert report_of(record) == "Green after 2 rounds."
        assert agent.asked == ["write", "mend:1"]
        h.commands.outputs |= {f"tests:{n}": said("1 failed", 1) for n in (2, 3)}
        record = await h.completed(pattern("rounds"), args={"task": "Do it."})
        assert (report_of(record), data_of(record)) == ("Still red.", {"output": "1 failed"})


async def test_many_lose_none_when_one_fails(tmp_path: Path) -> None:
    async with Harness(tmp_path) as h:
        agent_of(h, {"review:a.py": {"problems": ["it is long"]}, "review:b.py": breaks("busy")})
        h.commands.outputs["files"] = said("a.py\nb.py\n")
        record = await h.completed(pattern("many"))
        assert report_of(record) == "- a.py: it is long"
        assert "log:b.py was not reviewed" in await h.kinds(record.run_id)


async def test_verify_keeps_what_was_not_refuted(tmp_path: Path) -> None:
    async with Harness(tmp_path) as h:
        agent_of(
            h,
            {"find:a": ["x", "y"], "find:b": [], "verify:a:0": {"holds": True}, "verify:a:1": {"holds": False}},
        )
        record = await h.completed(pattern("verify"), args={"areas": ["a", "b"]})
        assert (report_of(record), data_of(record)) == ("1 faults.", {"a": ["x"], "b": []})


@pytest.mark.parametrize(
    ("answer", "output", "report"),
    [
        ("no", {}, "Nothing was applied."),
        ("yes", {"applied": True, "files": ["a.py"], "conflicts": []}, "Applied: a.py."),
        ("yes", {"applied": False, "files": [], "conflicts": [{"path": "a.py", "reason": "r"}]}, "It no longer fits."),
    ],
)
def test_patch_asks_before_it_applies(answer: str, output: Any, report: str) -> None:
    def answers(call: Call) -> Any:
        patch = {"id": "patch_1", "files": ["a.py"], "additions": 1, "deletions": 0}
        return {"agent": {"result": "done", "patch": patch}, "ask": answer, "apply_patch": output}[call.name]

    trace = conduct(pattern("patch"), answers, args={"task": "Do it."})
    assert (trace.value if isinstance(trace.value, str) else trace.value["report"]) == report
    assert bool(trace.named("apply_patch")) == (answer == "yes")
    assert trace.named("agent")[0].payload["input"]["isolation"] == "worktree"


async def test_again_tries_three_times(tmp_path: Path) -> None:
    async with Harness(tmp_path) as h:
        task, _ = await h.running(pattern("again"), "fetch:1", args={"url": "localhost", "tries": 2})
        h.commands.fail("fetch:1")
        h.commands.outputs["fetch:2"] = said("a page")
        await h.told("told step:started:pause:1")
        h.clock.advance(11)
        record = (await task).record
        assert (record.status, report_of(record)) == (RunStatus.COMPLETED, "a page")


def mistakes() -> list[tuple[str, str]]:
    """(wrong, right) of each row."""
    return [(row[0].strip("`"), row[1].strip("`")) for row in table_rows(sections(GUIDE)["Common mistakes"])]


def script_of(statement: str) -> str:
    return (
        "from sidestep import agent, ask, command, parallel\n\n\n"
        f"async def main():\n    {statement.replace('; ', chr(10) + '    ')}\n"
    )


def goes_wrong(statement: str) -> bool:
    """True when the check has something to say, or the run of it fails."""
    script = script_of(statement)
    problems = check(script, "x.py")
    if problems:
        return True
    trace = conduct(script, lambda call: {**OUTPUT, "stdout": "x"})
    return hasattr(trace.ended, "failure")


@pytest.mark.parametrize(("wrong", "right"), mistakes())
def test_a_mistake_is_one_and_what_is_right_is_right(wrong: str, right: str) -> None:
    assert goes_wrong(wrong)
    assert not goes_wrong(right)


def test_the_primitives_are_all_there_with_their_options() -> None:
    told: dict[str, set[str]] = {}
    for row in table_rows(sections(GUIDE)["The primitives"]):
        for span in code_spans(row[0]):
            name, _, rest = span.rstrip(")").partition("(")
            told[name] = {each.strip("* ") for each in rest.split(",")} - {""}
    assert told == {
        name: {each.name for each in primitive.parameters} - (STEP_OPTIONS if primitive.is_step else set())
        for name, primitive in PRIMITIVES.items()
    }
    assert set(code_spans(sections(GUIDE)["The primitives"])) >= STEP_OPTIONS | {each.value for each in FailureCode}


def test_the_modules_are_those_of_the_sandbox() -> None:
    (line,) = [line for line in text_of(GUIDE).splitlines() if line.startswith("Imports: ")]
    assert set(code_spans(line)) - {"gather"} == set(MODULES)


def test_the_configuration_it_shows_is_one(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text(the_fence(GUIDE, "toml").body)
    read = AgentConfigReader(path, lambda _: False)(str(tmp_path))
    assert read.problems == ()
    assert (list(read.agents), read.default_agent) == (["mine"], "mine")
