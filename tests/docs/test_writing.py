"""server/WRITING_WORKFLOWS.md and the code agree: signatures, options, limits, modules, examples."""

from __future__ import annotations
import __future__

import ast
import inspect
import re
import tomllib
from typing import TYPE_CHECKING, Any

import pytest

import sidestep
from sidestep.executors.agent_catalog import AgentCatalog
from sidestep.model.agent_settings import AgentSettings, parse_agent, why_unusable
from sidestep.model.run import Failure, FailureCode
from sidestep.runtime.bridge import STEP_ID_CHARS_MAX
from sidestep.scripts.agent_config import AgentConfigReader
from sidestep.scripts.check import check, has_errors
from sidestep.scripts.primitives import PRIMITIVES
from sidestep.scripts.sandbox_language import MODULES
from sidestep.settings import Settings
from tests.docs.documents import ROOT, WRITING, code_spans, fences, sections, table_rows, text_of
from tests.unit.runtime.scripted_host import conduct

if TYPE_CHECKING:
    from pathlib import Path

    from sidestep.model.execution import Call
    from tests.docs.documents import Fence

SERVED = sorted(sidestep.__all__)
UNITS = {"": 1, "s": 1, "characters": 1, "KiB": 1024, "MiB": 1024**2}

# What the page says is missing, and a script that uses it.
MISSING = {
    "class inheritance": "class Broken(Exception):\n    pass\n",
    "decorators on methods": "class A:\n    @property\n    def b(self):\n        return 1\n",
    "`yield`": "def numbers():\n    yield 1\n",
    "`del`": "a = 1\ndel a\n",
    "`async with`": "async def f(a):\n    async with a:\n        pass\n",
    "`async for`": "async def f(a):\n    async for b in a:\n        pass\n",
    "`except*`": "try:\n    pass\nexcept* ValueError:\n    pass\n",
    "`from module import *`": "from math import *\n",
    **{
        f"`{name}`": f"a = {name}()\n"
        for name in ("super", "callable", "issubclass", "vars", "dir", "globals", "input", "open")
    },
    "`time.time`": "import time\na = time.time()\n",
    "`datetime.now`": "from datetime import datetime\na = datetime.now()\n",
}


def signature_fences() -> dict[str, Fence]:
    found = fences(WRITING, "python", "signature")
    return {ast.parse(fence.body).body[0].name: fence for fence in found}  # pyright: ignore[reportAttributeAccessIssue]


def signature_in(fence: Fence) -> inspect.Signature:
    """The signature as it is written, its annotations as texts."""
    names: dict[str, object] = {}
    code = compile(fence.body, str(fence), "exec", flags=__future__.annotations.compiler_flag, dont_inherit=True)
    exec(code, names)  # the page is ours, and a `def` does nothing
    (function,) = [value for value in names.values() if inspect.isfunction(value)]
    return inspect.signature(function)


@pytest.mark.parametrize("name", SERVED)
def test_a_primitive_has_a_section_with_the_signature_of_its_stub(name: str) -> None:
    assert signature_in(signature_fences()[name]) == inspect.signature(getattr(sidestep, name))
    assert str(signature_fences()[name].body).strip() in sections(WRITING)[name]


def test_every_primitive_has_one_section() -> None:
    assert sorted(signature_fences()) == SERVED


@pytest.mark.parametrize("name", ["agent", "apply_patch"])
def test_the_own_options_of_a_step_are_told(name: str) -> None:
    common = {span for row in table_rows(sections(WRITING)["Steps"]) for span in code_spans(row[0])}
    told = [row[0].strip("`") for row in table_rows(sections(WRITING)[name])]
    assert told == [each.name for each in PRIMITIVES[name].parameters if each.name not in common]


def test_the_options_of_steps_and_of_command_are_told() -> None:
    told = {span for row in table_rows(sections(WRITING)["Steps"]) for span in code_spans(row[0])}
    own = {span for row in table_rows(sections(WRITING)["command"]) for span in code_spans(row[0])}
    assert told == {each.name for each in PRIMITIVES["sleep"].parameters} - {"seconds"}
    assert {each.name for each in PRIMITIVES["command"].parameters} == told | own - result_fields()
    assert result_fields() <= own


def result_fields() -> set[str]:
    """The fields of a command's result, as its stub has them."""
    tree = ast.parse((ROOT / "server/sidestep/__init__.py").read_bytes())
    (struct,) = [each for each in ast.walk(tree) if isinstance(each, ast.ClassDef) and each.name == "CommandResult"]
    return {ast.unparse(each.target) for each in struct.body if isinstance(each, ast.AnnAssign)} - {"error"}


def test_the_codes_of_failures_are_all_told() -> None:
    rows = table_rows(sections(WRITING)["failure"])
    assert {row[0].strip("`") for row in rows} == {code.value for code in FailureCode}


def test_the_limits_are_those_of_the_settings() -> None:
    limits = Settings()
    told = {row[0]: amount(row[1]) for row in table_rows(sections(WRITING)["Limits"])}
    assert told == {
        "workflows below one another": limits.nested_depth_max,
        "active runs of one process, nested ones counted": limits.active_runs_max,
        "a script": limits.script_bytes_max,
        "the arguments of a run": limits.args_bytes_max,
        "the input of a step, such as a prompt": limits.step_input_bytes_max,
        "what an agent answers at once": limits.agent_answer_bytes_max,
        "answers of an agent that do not fit the schema": limits.agent_attempts_max,
        "a question": limits.question_chars_max,
        "each stream of a command": limits.command_stream_bytes_max,
        "a step's output as JSON": limits.step_output_bytes_max,
        "the result of a run as JSON": limits.message_bytes_max,
        "one log line": limits.log_bytes_max,
        "everything printed by a run": limits.sandbox_printed_bytes_max,
        "the sandbox's memory": limits.sandbox_memory_bytes_max,
        "computing between two steps": limits.sandbox_turn_s_max,
        "nested calls": limits.sandbox_recursion_max,
        "tasks of one `parallel`, items of one `pipeline`": limits.parallel_width_max,
        "commands at once, of all runs of one process": limits.commands_running_max,
        "agents at once, of all runs of one process": limits.agents_running_max,
    }
    stream = limits.command_stream_bytes_max // 1024
    assert set(re.findall(r"(\d+) KiB", sections(WRITING)["command"])) == {str(stream)}
    assert f"at most {STEP_ID_CHARS_MAX} characters" in sections(WRITING)["Steps"]


def amount(text: str) -> float:
    number, _, unit = text.partition(" ")
    return float(number.replace(",", "")) * UNITS[unit]


def test_the_modules_are_those_of_the_sandbox() -> None:
    (line,) = [line for line in text_of(WRITING).splitlines() if line.startswith("`asyncio` ")]
    assert set(code_spans(line)) - {"gather"} == set(MODULES)


@pytest.mark.parametrize("missing", MISSING)
def test_what_the_page_calls_missing_is_an_error(missing: str) -> None:
    rows = table_rows(sections(WRITING)["The Python of scripts"])
    assert any(missing in row[0] for row in rows)
    assert has_errors(check(MISSING[missing] + "async def main():\n    return 1\n", "missing.py"))


def test_there_are_examples() -> None:
    assert len(fences(WRITING, "python", "example")) >= 3


@pytest.mark.parametrize("fence", fences(WRITING, "python", "example"), ids=str)
def test_an_example_passes_the_check(fence: Fence) -> None:
    assert check(fence.body, "example.py") == []


@pytest.mark.parametrize(("answer", "report"), [("yes", "Applied."), ("no", "Nothing was applied.")])
def test_the_example_with_agents_and_a_person_runs(answer: str, report: str) -> None:
    (example,) = [each for each in fences(WRITING, "python", "example") if "apply_patch" in each.body]

    def answers(call: Call) -> Any:
        if call.payload["id"] == "propose:2":
            return Failure(FailureCode.STEP, "out of credit")
        patch = {"id": f"of {call.payload['id']}", "files": ["a.py"], "additions": 1, "deletions": 0}
        given = {"choose": {"best": 2, "why": "It is shorter."}, "apply?": answer, "apply": {"applied": True}}
        return given.get(call.payload["id"], {"result": "done", "patch": patch})

    trace = conduct(example.body, answers, args={"task": "Do it."})
    assert (trace.value if isinstance(trace.value, str) else trace.value["report"]) == report
    assert "1. done\n\n2. done" in trace.step("choose").payload["input"]["prompt"]
    applied = [call.payload["input"] for call in trace.named("apply_patch")]
    assert applied == ([{"patch": {"id": "of propose:3"}}] if answer == "yes" else [])


@pytest.mark.parametrize("fence", fences(WRITING, "toml"), ids=str)
def test_a_configuration_it_shows_is_one(fence: Fence, tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text(fence.body)
    read = AgentConfigReader(path, lambda _: False)(str(tmp_path))
    assert read.problems == ()
    assert all(agent.problem is None for agent in read.agents.values())
    catalog = AgentCatalog(lambda _: read, "", host_does_tasks=lambda: False)
    for name in read.agents:
        assert "cannot be used: " + str(path) not in catalog.look_up(name, str(tmp_path))[1]
    assert (read.permission_policy is not None) == ("[permissions]" in fence.body)


def test_every_setting_of_an_agent_is_told_with_an_example_that_is_read() -> None:
    rows = table_rows(sections(WRITING)["Every setting of an agent"])
    assert {row[0].strip("`") for row in rows} == AgentSettings.names()
    for row in rows:
        table = tomllib.loads(row[2].strip("`"))
        assert list(table) == [row[0].strip("`")]
        assert parse_agent(table)[1] is None, row[2]


@pytest.mark.parametrize("kind", ["acp", "cli"])
def test_settings_are_told_for_the_kinds_that_take_them(kind: str) -> None:
    complete: dict[str, Any] = {"kind": kind, "command": "x", "args": ["{report_file}"], "output_format": "json"}
    for row in table_rows(sections(WRITING)["Every setting of an agent"]):
        name, kinds = row[0].strip("`"), row[1].split(", ")
        if name in {"kind", "preset", "schema"}:
            continue
        base = complete if kind == "cli" else {"kind": kind, "command": "x"}
        settings, problem = parse_agent({**base, **tomllib.loads(row[2].strip("`"))})
        assert problem is None
        assert settings is not None
        taken = "means nothing" not in (why_unusable(settings) or "")
        assert taken == (kind in kinds or kinds == ["all"]), name


def test_the_agents_it_shows_are_whole_and_one_of_each_kind_of_program() -> None:
    (fence,) = fences(WRITING, "toml", "agents")
    agents = {name: parse_agent(table) for name, table in tomllib.loads(fence.body)["agents"].items()}
    assert [settings and why_unusable(settings) for settings, _ in agents.values()] == [None, None]
    assert [settings and settings.kind for settings, _ in agents.values()] == ["acp", "cli"]
