"""The static check (D4): exact places, sure fixes, and no text that makes it raise."""

from __future__ import annotations

import textwrap
import time
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sidestep.scripts.check import SCRIPT_PROBLEMS_MAX, check, has_errors

if TYPE_CHECKING:
    from sidestep.model.problems import ScriptProblem

GOOD = '''
"""Implement a change, test it, review it; repeat until green or out of rounds."""
from sidestep import agent, command, parallel, phase

REVIEW = {"type": "object", "required": ["blockers"],
          "properties": {"blockers": {"type": "array", "items": {"type": "string"}}}}

async def main(task: str, rounds: int = 3):
    await agent(task, id="implement")
    for n in range(1, rounds + 1):
        phase("verify", round=n)
        tests, review = await parallel([
            command(["pytest", "-q"], id=f"tests:{n}", check=False),
            agent("Review the working tree strictly.", id=f"review:{n}", schema=REVIEW),
        ])
        blockers = review["blockers"] + ([tests["stdout"]] if tests["exit_code"] else [])
        if not blockers:
            return f"Green after {n} round(s)."
        await agent("Fix:\\n- " + "\\n- ".join(blockers), id=f"fix:{n}")
    return {"report": "Still red.", "data": {"blockers": blockers}}
'''


def in_main(body: str, header: str = "from sidestep import *\n") -> str:
    """A script whose `main` has this body, from line 4 on; every primitive is imported."""
    names = "agent, apply_patch, ask, command, failure, log, parallel, phase, pipeline, sleep, workflow"
    imports = header.replace("*", names)
    return (
        f'"""Doc."""\n{imports}async def main(task: str = ""):\n'
        + textwrap.indent(textwrap.dedent(body), "    ")
        + "\n"
    )


def only_problem(source: str, code: str) -> ScriptProblem:
    problems = check(source, "script.py")
    assert [problem.code for problem in problems] == [code], problems
    return problems[0]


def fixed(source: str, problem: ScriptProblem) -> str:
    """The source with the problem's replacement made."""
    assert problem.fix is not None
    line, column, end_line, end_column, text = problem.fix
    lines = source.split("\n")
    start = sum(len(each) + 1 for each in lines[: line - 1]) + column - 1
    end = sum(len(each) + 1 for each in lines[: end_line - 1]) + end_column - 1
    return source[:start] + text + source[end:]


def check_fix(source: str, code: str, after: str) -> ScriptProblem:
    """The one problem, whose fix gives `after` and leaves nothing to say."""
    problem = only_problem(source, code)
    assert fixed(source, problem) == after
    assert check(after, "script.py") == []
    assert problem.fix_title
    return problem


def test_the_example_of_the_design_has_no_problems() -> None:
    assert check(GOOD, "script.py") == []


@pytest.mark.parametrize(
    ("source", "line", "column", "part"),
    [
        ("async def main(:\n    pass", 1, 16, "invalid syntax"),
        ("x = 1\nasync def main()\n    pass", 2, 17, "expected ':'"),
        ("é = 'ü'; f(é=1, é=2)", 1, 17, "keyword argument repeated"),
        ("async def main():\n    break\n", 2, 5, "'break' outside loop"),
        ("def helper():\n    await x\n", 2, 5, "'await' outside async function"),
        ("x = 'abc", 1, 5, "unterminated string"),
        ("x = (1,\n", 1, 5, "was never closed"),
        ("x = 'a\0b'", 1, 7, "no text (U+0000)"),
        ("ok = 1\nx = '\udc80'", 2, 6, "no text (U+DC80)"),
        ("type X = int", 1, 6, "invalid syntax"),
        ("x = " + "(" * 500, 1, 205, "too many nested parentheses"),
        ("x = " + "-" * 100_000 + "1", 1, 1, "nested too deeply"),
        ("x = 1" + "0" * 5000, 1, 1, "Exceeds the limit"),
    ],
)
def test_what_is_no_python_is_told_with_line_and_column(source: str, line: int, column: int, part: str) -> None:
    """D4, S1: syntax errors at their place, columns in characters."""
    problem = only_problem(source, "syntax")
    assert part in problem.message
    assert (problem.line, problem.column, problem.severity) == (line, column, "error")


@pytest.mark.parametrize(
    ("call", "text"),
    [
        ('await command(["pytest", "-q"])', 'await command(["pytest", "-q"], id="pytest")'),
        ('await command(["/usr/bin/git", "log"],)', 'await command(["/usr/bin/git", "log"], id="git-log")'),
        ("await agent(task)", 'await agent(task, id="agent")'),
        ('await agent("Fix the Bug now")', 'await agent("Fix the Bug now", id="fix-the")'),
        ("await sleep((3))", 'await sleep((3), id="sleep")'),
        ("await sleep(3 # a, b\n)", 'await sleep(3 # a, b\n, id="sleep")'),
        ('await agent(\n    task,\n    title="é",\n)', 'await agent(\n    task,\n    title="é",\n    id="agent",\n)'),
        (
            "for é in [1]:\n    await command(['x'])",
            "for é in [1]:\n    await command(['x'], id=f\"x:{é}\")",
        ),
    ],
)
def test_a_missing_id_is_an_error_with_an_id_to_add(call: str, text: str) -> None:
    """D4, P1."""
    assert check_fix(in_main(call), "missing-id", in_main(text)).severity == "error"


def test_proposed_ids_differ_from_each_other_and_from_those_there() -> None:
    source = in_main('await agent("a", id="agent")\nawait agent(task)\nawait agent(task)')
    assert [problem.fix and problem.fix[4] for problem in check(source, "x.py")] == [', id="agent-2"', ', id="agent-3"']


@pytest.mark.parametrize("identifier", ['""', "''", '"  "', 'f""', "3", "None", "['x']", "('a', 'b')", "b'x'", "True"])
def test_an_id_that_is_no_text_is_an_error(identifier: str) -> None:
    """D4, P1: empty and non-string ids."""
    problem = only_problem(in_main(f"await agent(task, id={identifier})"), "bad-id")
    assert (problem.line, problem.column, problem.end_column) == (4, 26, 26 + len(identifier))
    assert problem.severity == "error"


@pytest.mark.parametrize("identifier", ["task", "f'{task}'", "name()", "'a' + task", "x['id']"])
def test_an_id_that_may_be_text_is_left_alone(identifier: str) -> None:
    source = in_main(f"x, name = {{}}, str\nawait agent(task, id={identifier})")
    assert check(source, "script.py") == []


@pytest.mark.parametrize(
    ("body", "after"),
    [
        (
            'for n in range(3):\n    await agent(task, id="t")',
            'for n in range(3):\n    await agent(task, id=f"t:{n}")',
        ),
        (
            'for n, (a, b) in []:\n    if a:\n        await agent(b, id="t{")',
            'for n, (a, b) in []:\n    if a:\n        await agent(b, id=f"t{{:{n}")',
        ),
        (
            'for a in [1]:\n    for b in [2]:\n        await agent(task, id="t")',
            'for a in [1]:\n    for b in [2]:\n        await agent(task, id=f"t:{a}:{b}")',
        ),
        (
            'await parallel([agent(t, id="t") for t in [task]])',
            'await parallel([agent(t, id=f"t:{t}") for t in [task]])',
        ),
        (
            'await parallel({t: agent(t, id="t") for t in [task]})',
            'await parallel({t: agent(t, id=f"t:{t}") for t in [task]})',
        ),
    ],
)
def test_a_constant_id_in_a_loop_is_a_warning_with_a_changing_one(body: str, after: str) -> None:
    """D4: also nested, also in comprehensions; a warning, as other input makes it other work."""
    problem = check_fix(in_main(body), "constant-id", in_main(after))
    assert problem.severity == "warning"
    assert "the same in every round of the loop" in problem.message


@pytest.mark.parametrize(
    "body",
    [
        'while task:\n    await agent(task, id="t")',
        'for b in [1]:\n    await agent(task, id=f"t:{task}")',
        'for a in range(3):\n    for b in ["x", "y"]:\n        await agent(task, id=f"t:{b}")',
        'for a in range(3):\n    for b in sorted(["x"]):\n        await agent(task, id="t" + str(b))',
        'for a in range(3):\n    await parallel([agent(b, id=f"t:{b}") for b in [1]])',
    ],
)
def test_an_id_that_does_not_change_in_some_loop_is_a_warning(body: str) -> None:
    """D4: an f-string over the inner loop alone is the same again in the outer one."""
    assert only_problem(in_main(body), "constant-id").fix is None


@pytest.mark.parametrize(
    "body",
    [
        'for n in range(3):\n    await agent(task, id=f"t:{n}")',
        "for n in range(3):\n    name = task\n    await agent(task, id=name)",
        'for n in range(3):\n    name = f"t:{n}"\n    await agent(task, id=f"x:{name}")',
        'n = 0\nwhile n < 3:\n    n += 1\n    await agent(task, id=f"t:{n}")',
        'while (n := task):\n    await agent(task, id=f"t:{n}")',
        'for a in [[1]]:\n    for b in a:\n        await agent(task, id=f"t:{b}")',
        'for a in [[1]]:\n    for b in a:\n        for c in range(b):\n            await agent(task, id=f"t:{c}")',
        'for a in range(3):\n    for b in await agent(task, id=f"l:{a}"):\n        await agent(task, id=f"t:{b}")',
        'for n in await agent(task, id="list"):\n    pass\nelse:\n    await agent(task, id="t")',
        'for n in range(3):\n    async def one():\n        await agent(task, id="t")',
        'await parallel([agent(t, id=f"t:{t}") for t in await agent(task, id="list")])',
        'queue = [1]\nwhile queue:\n    await agent(task, id=f"t:{queue.pop()}")',
        'state = {}\nfor n in range(3):\n    await agent(task, id=state["id"])',
    ],
)
def test_an_id_that_changes_is_left_alone(body: str) -> None:
    """D4."""
    assert check(in_main(body), "script.py") == []


@pytest.mark.parametrize(
    ("header", "name", "code", "after", "name_after"),
    [
        ("from sidestep import comand", "comand", "unknown-primitive", "from sidestep import command", "command"),
        ("from sidestep import comand as c", "c", "unknown-primitive", "from sidestep import command as c", "c"),
        ("import sidestep", "sidestep.command", "import", "from sidestep import command", "command"),
        ("import sidestep as s", "s.command", "import", "from sidestep import command", "command"),
    ],
)
def test_a_wrong_import_from_sidestep_has_a_fix(header: str, name: str, code: str, after: str, name_after: str) -> None:
    """D4: unknown names with the nearest one, and every other import of sidestep."""
    source = in_main(f"await {name}(['x'], id='x')", header + "\n")
    problem = check_fix(source, code, in_main(f"await {name_after}(['x'], id='x')", after + "\n"))
    column = 8 if code == "import" else 22
    assert (problem.line, problem.column, problem.severity) == (2, column, "error")


def test_a_star_import_names_what_is_used() -> None:
    source = 'from sidestep import *\nasync def main():\n    log("x")\n    await sleep(1, id="s")\n'
    problems = [problem for problem in check(source, "x.py") if problem.code == "import"]
    assert len(problems) == 1
    assert fixed(source, problems[0]).startswith("from sidestep import log, sleep\n")
    assert check(fixed(source, problems[0]), "x.py") == []


@pytest.mark.parametrize(
    "header", ["from sidestep.model import errors\n", "import sidestep.app\n", "from . import x\n"]
)
def test_nothing_else_of_sidestep_can_be_imported(header: str) -> None:
    assert only_problem(in_main("pass", header), "import").severity == "error"


def test_a_primitive_that_is_not_imported_can_be() -> None:
    """D4: unknown primitives."""
    source = in_main("log('x')\nawait agent(task, id='a')", "from sidestep import agent\n")
    after = in_main("log('x')\nawait agent(task, id='a')", "from sidestep import agent, log\n")
    assert check_fix(source, "not-imported", after).severity == "error"
    source = '"""Doc."""\nasync def main():\n    log("x")\n'
    after = '"""Doc."""\nfrom sidestep import log\n\n\nasync def main():\n    log("x")\n'
    check_fix(source, "not-imported", after)


def test_an_alias_and_a_name_bound_anew_are_understood() -> None:
    source = in_main("await c(['x'])", "from sidestep import command as c\n")
    assert only_problem(source, "missing-id").line == 4
    source = in_main("command = print\ncommand('x')", "from sidestep import command\n")
    assert check(source, "x.py") == []


@pytest.mark.parametrize(
    ("call", "after"),
    [
        ("await agent(task, id='a', schem={})", "await agent(task, id='a', schema={})"),
        ("await command(['x'], id='a', timeout=3)", "await command(['x'], id='a', timeout_s=3)"),
        ("await sleep(1, ID='a')", None),
        ("await parallel([], limits=3)", "await parallel([], limit=3)"),
        ("failure(eror=task)", "failure(error=task)"),
    ],
)
def test_an_unknown_option_has_the_nearest_one(call: str, after: str | None) -> None:
    """D4, P1."""
    problems = check(in_main(call), "x.py")
    problem = next(each for each in problems if each.code == "unknown-option")
    assert problem.severity == "error"
    if after is not None:
        assert check(fixed(in_main(call), problem), "x.py") == []
        assert fixed(in_main(call), problem) == in_main(after)


@pytest.mark.parametrize(
    ("call", "code", "after"),
    [
        ("await sleep(1, 's')", "unknown-option", "await sleep(1, id='s')"),
        ("await sleep(1, 2, id='s')", "unknown-option", None),
        ("await sleep(1, seconds=2, id='s')", "unknown-option", None),
        ("await sleep(id='s')", "missing-option", None),
        ("phase()", "missing-option", None),
        ("await sleep(1, id='a', on_error='retrun')", "bad-option", "await sleep(1, id='a', on_error=\"return\")"),
        ("await agent('', id='a', isolation='tree')", "bad-option", None),
        ("await agent(task, id='a', on_error=None)", "bad-option", None),
        ("await command('git log -1', id='a')", "bad-option", "await command([\"git\", \"log\", \"-1\"], id='a')"),
        ("await command('ls | wc', id='a')", "bad-option", None),
        ("await command(f'ls {task}', id='a')", "bad-option", None),
        ("await command([], id='a')", "bad-option", None),
        ("await command(['head', -3], id='a')", "bad-option", "await command(['head', \"-3\"], id='a')"),
        ("await command(['head', None], id='a')", "bad-option", None),
    ],
)  # fmt: skip
def test_a_call_that_the_runtime_refuses_is_an_error(call: str, code: str, after: str | None) -> None:
    """D4, P1, P5."""
    problem = only_problem(in_main(call), code)
    assert problem.severity == "error"
    if after is not None:
        assert fixed(in_main(call), problem) == in_main(after)


@pytest.mark.parametrize(
    "call",
    [
        "await agent(*task, **{})", "await command(*['x'], id='a')", "await sleep(**{'seconds': 1, 'id': 'a'})",
        "log('x', anything=1, id=2)", "phase('x', round=1)", "await pipeline([1], main, main, limit=2)",
        "await parallel({'a': sleep(1, id='a')}, on_error='return')", "await agent(prompt=task, id='a')",
    ],
)  # fmt: skip
def test_calls_that_may_be_right_are_left_alone(call: str) -> None:
    assert check(in_main(call), "x.py") == []


@pytest.mark.parametrize(
    ("body", "after", "severity"),
    [
        ("agent(task, id='a')", "await agent(task, id='a')", "warning"),
        ("parallel([agent(task, id='a')])", "await parallel([agent(task, id='a')])", "warning"),
        ("x = command(['x'], id='a')['stdout']", "x = (await command(['x'], id='a'))['stdout']", "error"),
        ("x = 'a' + agent(task, id='a')", "x = 'a' + (await agent(task, id='a'))", "error"),
        ("for x in agent(task, id='a'): pass", "for x in (await agent(task, id='a')): pass", "error"),
        ("if agent(task, id='a') == 'x': pass", "if (await agent(task, id='a')) == 'x': pass", "warning"),
    ],
)
def test_a_step_that_is_not_awaited_is_told(body: str, after: str, severity: str) -> None:
    """D4: unawaited steps."""
    assert check_fix(in_main(body), "unawaited", in_main(after)).severity == severity


def test_what_is_done_at_once_is_not_awaited() -> None:
    check_fix(in_main("await phase('x')"), "awaited", in_main("phase('x')"))


def test_awaiting_is_proposed_in_async_functions_only() -> None:
    source = 'from sidestep import agent\ndef f():\n    agent("x", id="a")\nasync def main():\n    f()\n'
    assert only_problem(source, "unawaited").fix is None


def test_inside_an_f_string_a_problem_stands_at_the_f_string_and_is_not_edited() -> None:
    """Python 3.11 gives no true positions there."""
    source = in_main("x = 'é' + f'ab{agent(task)}c'")
    problems = check(source, "x.py")
    assert {problem.code for problem in problems} == {"missing-id", "unawaited"}
    assert {(problem.line, problem.column, problem.fix) for problem in problems} == {(4, 15, None)}


def test_columns_count_characters() -> None:
    problem = only_problem(in_main("x = 'éü😀'; await agent(task)"), "missing-id")
    assert (problem.line, problem.column, problem.end_column) == (4, 22, 33)


@pytest.mark.parametrize(
    ("name", "part"),
    [
        ("reslt", "Did you mean 'result'?"),
        ("callable", "no builtin 'callable'"),
        ("json", "`import json`"),
    ],
)
def test_a_name_that_is_nowhere_is_an_error(name: str, part: str) -> None:
    problem = check(in_main(f"result = 1\nreturn {name}(result)"), "x.py")[0]
    assert (problem.line, problem.column, problem.severity) == (5, 12, "error")
    assert part in problem.message


def test_what_may_be_caught_is_a_warning() -> None:
    """Only what surely fails is an error."""
    source = in_main("try:\n    import numpy\nexcept ImportError:\n    pass")
    assert only_problem(source, "unknown-module").severity == "warning"
    assert not has_errors(check(source, "x.py"))
    source = in_main("try:\n    pass\nexcept ImportError:\n    import numpy")
    assert only_problem(source, "unknown-module").severity == "error"


def test_annotations_are_never_evaluated() -> None:
    source = in_main("x: DataFrame = 1\ndef f(a: np.array) -> Nothing: ...")
    assert check(source, "x.py") == []


def test_imports_for_type_checkers_are_left_alone() -> None:
    header = "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import numpy\n"
    assert check(in_main("x: numpy.array = 1", header), "x.py") == []


def test_problems_come_in_the_order_of_the_text_and_errors_are_never_cut() -> None:
    body = "\n".join(["agent(task, id='a')"] * (SCRIPT_PROBLEMS_MAX + 50) + ["x.y"])
    problems = check(in_main(body), "x.py")
    assert len(problems) == SCRIPT_PROBLEMS_MAX
    assert has_errors(problems)
    assert problems == sorted(problems, key=lambda problem: (problem.line, problem.column))


WORDS = """
async def main ( ) : task = agent command parallel phase sleep await for n in range while if else try except with
import from sidestep as return yield del class lambda f"{ }" "x" 'é' id= schema= [ ] { } , . * ** @ \\ #
"""
FRAGMENTS = st.sampled_from([*WORDS.split(), "\n", "\n    ", "\t"])


@pytest.mark.slow
@settings(deadline=None)
@given(st.lists(FRAGMENTS, max_size=40).map(" ".join) | st.text(max_size=200))
def test_no_text_makes_the_check_raise(source: str) -> None:
    """D4: user text never raises, and every place is in the text."""
    lines = source.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    for problem in check(source, "x.py"):
        assert 1 <= problem.line <= len(lines)
        assert 1 <= problem.column <= len(lines[problem.line - 1]) + 1
        assert (problem.line, problem.column) <= (problem.end_line, problem.end_column)


@pytest.mark.slow
@settings(deadline=None)
@given(st.integers(0, len(GOOD)), st.integers(0, 30))
def test_half_typed_scripts_are_checked(at: int, hole: int) -> None:
    """D4: the text of an editor is broken most of the time."""
    check(GOOD[:at] + GOOD[at + hole :], "x.py")
    check(GOOD[:at], "x.py")


@pytest.mark.slow
@pytest.mark.parametrize(
    "line",
    [
        "    await agent(task)\n",
        "    x = undefined_{n}(anything_{n})\n",
        "    await agent(task, id='a')['x']\n",
        "    for a in [b for b in [{n}]]: await agent(task, id='a')\n",
        "    v{n} = v{m}\n",
    ],
)
def test_a_hostile_file_is_checked_in_bounded_time(line: str) -> None:
    """Many problems of one kind must not cost more than their number."""
    text = "".join(line.replace("{n}", str(n)).replace("{m}", str(n + 1)) for n in range(2000))
    source = in_main("pass") + "    while task:\n" + textwrap.indent(text, "    ")
    began = time.process_time()
    assert len(check(source, "x.py")) <= SCRIPT_PROBLEMS_MAX
    assert time.process_time() - began < 20
