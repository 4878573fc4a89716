"""Calls of `agent`, `ask` and `apply_patch` as the check sees them: schemas, choices, what belongs together. D4, P1."""

from __future__ import annotations

import time

import pytest

from sidestep.scripts.check import check, has_errors

SCRIPT = """\"\"\"Doc.\"\"\"
from sidestep import agent, apply_patch, ask
{head}

async def main(task: str, more: dict[str, str] | None = None):
    {call}
"""


def told(call: str, head: str = "") -> list[tuple[str, int, int, str]]:
    """(code, line, column, message) of every problem of a call in line 6; `head` is line 3."""
    problems = check(SCRIPT.format(call=call, head=head), "x.py")
    assert all(problem.severity == "error" for problem in problems)
    return [(problem.code, problem.line, problem.column, problem.message) for problem in problems]


@pytest.mark.parametrize("step", ["agent", "ask"])
@pytest.mark.parametrize(
    ("schema", "part"),
    [
        ('{"type": "objekt"}', 'the schema at /type is no JSON Schema: "objekt" is not'),
        ('{"properties": {"a": {"minLength": "1"}}}', "the schema at /properties/a/minLength is no JSON Schema"),
        ('{"required": "a"}', "the schema at /required is no JSON Schema"),
        ('{"$ref": "https://x.test/schema.json"}', "retrieving it failed"),
        ('{"type": "string", "pattern": "(?=a)"}', "the schema at /pattern is no JSON Schema"),
        ('{"type": "string", "pattern": "("}', "the schema at /pattern is no JSON Schema"),
        ("{1: 2}", "has the key 1; keys in JSON are strings"),
        ('{"enum": [b"x"]}', "holds b'x', which is not JSON"),
        ('{"maximum": 1e999}', "holds inf, which is not JSON"),
    ],
)
def test_p1_a_schema_that_is_none_is_told_where_it_stands(step: str, schema: str, part: str) -> None:
    """P1, D4: also where it stands at the top of the script, and once for all calls that share it."""
    ((code, line, column, message),) = told(f'await {step}(task, id="a", schema={schema})')
    assert (code, line, column) == ("bad-schema", 6, len(f"    await {step}(task, id='a', schema=") + 1)
    assert part in message
    call = f'await {step}(task, id="a", schema=ANSWER), await {step}(task, id="b", schema=ANSWER)'
    ((code, line, column, message),) = told(call, head=f"ANSWER = {schema}")
    assert (code, line, column) == ("bad-schema", 3, 10)
    assert part in message


@pytest.mark.parametrize("schema", ['"object"', '["object"]', "3", "True", '{"object"}', 'f"{task}"'])
def test_a_schema_that_is_no_dict_is_told(schema: str) -> None:
    message = 'schema is a dict with a JSON Schema, e.g. {"type": "object"}'
    assert told(f'await agent(task, id="a", schema={schema})') == [("bad-option", 6, 38, message)]


@pytest.mark.parametrize(
    ("call", "head"),
    [
        ('await agent(task, id="a", schema={"type": "object"})', ""),
        ('await agent(task, id="a", schema=None)', ""),
        ('await agent(task, id="a", schema=True and {})', ""),
        # What is put together, changed, bound twice or comes from elsewhere is judged when it is used.
        ('await agent(task, id="a", schema={"type": task})', ""),
        ('await agent(task, id="a", schema={**ANSWER})', 'ANSWER = {"type": "objekt"}'),
        ('ANSWER["type"] = "object"; await agent(task, id="a", schema=ANSWER)', 'ANSWER = {"type": "objekt"}'),
        ('ANSWER.update(type="object"); await agent(task, id="a", schema=ANSWER)', 'ANSWER = {"type": "objekt"}'),
        ('await agent(task, id="a", schema=ANSWER)', 'ANSWER = {"type": "objekt"}; ANSWER = {}'),
        ('await agent(task, id="a", schema=ANSWER)', 'ANSWER = OTHER = {"type": "objekt"}; OTHER["type"] = "object"'),
        ('await agent(task, id="a", schema=more)', ""),
        ('await agent(task, id="a", **{"schema": 3})', ""),
        ('await agent(task, id="a", timeout_s=60, grace_s=5, final_instructions="Stop.")', ""),
        ('await agent(task, id="a", grace_s=None)', ""),
        ('await agent(task, id="a", grace_s=more)', ""),
        ('await agent(task, id="a", grace_s=5, timeout_s=more)', ""),
        ('await agent(task, id="a", grace_s=5, **more)', ""),
        ('await ask(task, id="a", choices=["yes", "no"], schema=None)', ""),
        ('await ask(task, id="a", choices=None, schema={"type": "string"})', ""),
        ('await ask(task, id="a", choices=more, schema={"type": "string"})', ""),
        ('await ask(task, id="a", choices=[task, task])', ""),
        ('await ask(task, id="a", choices=list(more))', ""),
        ('await apply_patch({}, id="a")', ""),
    ],
)
def test_what_may_be_right_is_left_alone(call: str, head: str) -> None:
    assert told(call, head) == []


@pytest.mark.parametrize(
    ("choices", "message"),
    [
        ("[]", 'choices are one or more different strings, e.g. ["yes", "no"]'),
        ("()", 'choices are one or more different strings, e.g. ["yes", "no"]'),
        ('["yes", "yes"]', 'choices are one or more different strings, e.g. ["yes", "no"]'),
        ('["yes", ""]', 'choices are one or more different strings, e.g. ["yes", "no"]'),
        ("[1, 2]", 'choices are one or more different strings, e.g. ["yes", "no"]'),
        ('"yes no"', 'choices is a list of strings, e.g. ["yes", "no"]'),
    ],
)
def test_p1_choices_that_are_none_are_told(choices: str, message: str) -> None:
    assert told(f'await ask(task, id="a", choices={choices})') == [("bad-option", 6, 37, message)]


@pytest.mark.parametrize(("choices", "schema"), [('["a"]', '{"type": "string"}'), ("CHOICES", "{**more}")])
def test_p1_choices_and_a_schema_are_told(choices: str, schema: str) -> None:
    call = f'await ask(task, id="a", choices={choices}, schema={schema})'
    assert told(call, 'CHOICES = ["a"]') == [("bad-option", 6, 37, "give choices or a schema, not both")]


@pytest.mark.parametrize(("option", "value"), [("grace_s", "5"), ("final_instructions", '"Stop."')])
def test_p1_what_happens_at_a_limit_wants_the_limit(option: str, value: str) -> None:
    message = f"{option} says what happens at timeout_s; give that, too"
    for limit in ("", "timeout_s=None, "):
        ((code, line, _, said),) = told(f'await agent(task, id="a", {limit}{option}={value})')
        assert (code, line, said) == ("bad-option", 6, message)


@pytest.mark.parametrize("call", ['agent(task, id="a")', 'ask(task, id="a")', 'apply_patch(more, id="a")'])
def test_the_same_id_in_every_round_is_a_warning_with_one_that_changes(call: str) -> None:
    """P2"""
    (problem,) = check(SCRIPT.format(call=f"for n in range(3): await {call}", head=""), "x.py")
    assert (problem.code, problem.severity, problem.line) == ("constant-id", "warning", 6)
    assert problem.fix is not None
    assert problem.fix[4] == 'f"a:{n}"'


@pytest.mark.slow
def test_a_hostile_number_of_schemas_takes_no_hostile_time() -> None:
    head = ";".join(f'A{n} = {{"type": "object"}}' for n in range(1000))
    call = ";".join(f'await agent(task, id="a{n}", schema=A{n})' for n in range(1000))
    began = time.perf_counter()
    assert not has_errors(check(SCRIPT.format(call=call, head=head), "x.py"))
    assert time.perf_counter() - began < 5


def test_a_detail_may_be_named_like_the_subject() -> None:
    source = 'from sidestep import log, phase\n\n\nasync def main():\n    log("x", message=1)\n    phase("p", name=2)\n'
    assert check(source, "f.py") == []
