"""S9, N2, P9: how a script fails, with the author's file and line, and with a code nobody has to read off a text."""

from __future__ import annotations

import pytest

from sidestep.model.run import Failure, FailureCode
from sidestep.runtime import worker
from sidestep.settings import Settings
from tests.unit.runtime.scripted_host import FILE, conduct, fail

QUICK = Settings(sandbox_turn_s_max=0.2)


@pytest.mark.parametrize(
    ("source", "line", "message"),
    [
        ("async def main():\n    x = 1\n    return {}['x']", 3, "KeyError: x"),
        ("async def main():\n    raise ValueError('no\\nway')", 2, "ValueError: no\nway"),
        ("x = 1\n\nassert x == 2\nasync def main():\n    pass", 3, "AssertionError: "),
        ("def f():\n    return 1 / 0\nasync def main():\n    return f()", 2, "ZeroDivisionError: division by zero"),
        ("async def f():\n    return 1 / 0\nasync def main():\n    return await f()", 2, "ZeroDivisionError"),
        ("async def main():\n    raise SystemExit('x')", 2, "SystemExit: x"),
        ("async def main():\n    return [\n        1,\n        undefined,\n    ]", 4, "NameError: name 'undefined'"),
        ("async def main():\n    return eval('1/0')", 2, "ZeroDivisionError"),
    ],
)
def test_s9_an_error_has_its_type_text_file_and_line(source: str, line: int, message: str):
    failure = conduct(source).failure
    assert failure.message.startswith(message)
    assert (failure.code, failure.step_id, failure.file, failure.line) == (FailureCode.SCRIPT, None, FILE, line)


@pytest.mark.parametrize(
    "around",
    [
        "parallel([fine(), bad()])",
        "parallel({'a': bad()}, limit=1)",
        "parallel([parallel([bad()])])",
        "pipeline([1], stage)",
        "asyncio.gather(fine(), bad())",
        "parallel([asyncio.gather(fine(), bad())])",
        "asyncio.gather(parallel([bad()]), fine())",
    ],
)
def test_s9_the_line_survives_parallel_pipeline_and_gather(around: str):
    source = f"""import asyncio
from sidestep import command, parallel, pipeline
async def bad():
    await command(["x"], id="x")
    return {{}}["the line is 5"]
async def fine():
    return 1
async def stage(_):
    return await bad()
async def main():
    await {around}
"""
    failure = conduct(source).failure
    assert (failure.message, failure.line) == ("KeyError: the line is 5", 5)


@pytest.mark.parametrize(
    ("source", "line", "column"),
    [
        ("async def main():\n    x = (1,\n    y = 2\n", 3, 7),
        ("def f(:\n    pass", 1, 7),
        ("async def main():\n    yield 1", 2, 5),
        ("class E(Exception):\n    pass", 1, 1),
        ("from sidestep import log\nasync def main():\n    log('x'); log('y'); x = (yield)", 3, 30),
        ("from sidestep import command\nasync def main():\n    é = command([], id='x'); x = (yield)", 3, 35),
        ("x = " + "(" * 300, 1, None),
        ("async def main():\n    return 1\nx = (1,\n  2\n", 5, None),
        ("async def main():\n    return 1\nx = \\", 3, None),
        ("async def main():\n    return 1\nf = lambda: \\\n", 4, None),
    ],
)
def test_s9_what_the_sandbox_cannot_read_is_told_with_line_and_column(source: str, line: int, column: int | None):
    failure = conduct(source).failure
    assert (failure.code, failure.line) == (FailureCode.SCRIPT, line)
    assert failure.message.startswith("SyntaxError: ")
    assert "monty" not in failure.message.lower()
    if column is not None:
        assert f"(column {column})" in failure.message


def test_n2_an_uncaught_step_failure_carries_its_code_step_and_line():
    source = """
    from sidestep import command, parallel
    async def main():
        await parallel([
            command(["x"], id="a"),
            command(["x"],
                    id='odd "one": here'),
        ])
    """
    told = Failure(FailureCode.INFRASTRUCTURE, "no such program: x")
    failure = conduct(source, lambda call: told if call.payload["id"] != "a" else 1).failure
    assert failure == Failure(FailureCode.INFRASTRUCTURE, told.message, 'odd "one": here', FILE, 6)


def test_n2_a_timeout_of_a_step_is_code_timeout_and_not_a_limit():
    source = "from sidestep import sleep\nasync def main():\n    await sleep(1, id='s')"
    failure = conduct(source, lambda _: fail("too late", FailureCode.TIMEOUT)).failure
    assert failure == Failure(FailureCode.TIMEOUT, "too late", "s", FILE, 3)


def test_n2_a_script_that_raises_a_caught_failure_again_still_fails_with_it():
    source = """
    from sidestep import command
    async def main():
        try:
            await command(["x"], id="a")
        except RuntimeError as error:
            raise
    """
    assert conduct(source, lambda _: fail()).failure.step_id == "a"


def test_n2_a_text_that_only_looks_like_a_step_failure_is_a_script_error():
    """Codes are decided by what was delivered, never by what a message says."""
    failure = conduct("async def main():\n    raise RuntimeError('step in step \"a\": x')").failure
    assert (failure.code, failure.step_id) == (FailureCode.SCRIPT, None)
    failure = conduct("async def main():\n    raise TimeoutError('turn time limit exceeded: 3s > 2s')").failure
    assert failure.code is FailureCode.SCRIPT


@pytest.mark.slow
@pytest.mark.parametrize(
    ("body", "told"),
    [
        ("while True: pass", "computed for more than 2 s without waiting for a step"),
        ("f = lambda n: f(n)\n    f(1)", "nests calls or values deeper than 400 levels"),
        ("x = ['a' * 10**6 for _ in range(100)]", "more than the 64 MiB of memory"),
        ("x = 'a' * 10**12", "more than the 64 MiB of memory"),
    ],
)
def test_limits_of_the_sandbox_are_code_limit_and_say_which(body: str, told: str):
    failure = conduct(f"async def main():\n    {body}").failure
    assert failure.code is FailureCode.LIMIT
    assert told in failure.message
    assert failure.file == FILE


@pytest.mark.parametrize("clause", ["except BaseException: pass", "except TimeoutError: pass", "finally: f()"])
def test_p9_the_time_limit_cannot_be_caught(clause: str):
    source = f"def f():\n    while True: pass\nasync def main():\n    try:\n        f()\n    {clause}\n    return 1"
    assert conduct(source, settings=QUICK).failure.code is FailureCode.LIMIT


@pytest.mark.slow
@pytest.mark.parametrize("call", ["phase('x')", "log('x')", "undefined()", "print('x')"])
def test_a_loop_around_host_calls_has_an_end(call: str):
    """The sandbox's own clock starts again at each of them."""
    source = f"""
from sidestep import log, phase
async def main():
    while True:
        try:
            {call}
        except NameError:
            pass
"""
    failure = conduct(source, settings=Settings(sandbox_turn_s_max=0.1)).failure
    assert failure.code is FailureCode.LIMIT


@pytest.mark.parametrize("limit", ["_CALLS_PER_TURN_MAX", "_CALL_BYTES_PER_TURN_MAX"])
def test_the_calls_of_one_turn_have_an_end(limit: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(worker, limit, 50)
    trace = conduct("from sidestep import log\ndef main():\n    for n in range(1000): log('x')")
    assert trace.failure.code is FailureCode.LIMIT
    assert "without waiting for a step" in trace.failure.message
    assert len(trace.calls) <= 50


@pytest.mark.parametrize("callee", ["missing", "__sidestep_host__", "open", "input"])
@pytest.mark.parametrize("value", ["{A(): 1}", "10**100000", "deep"])
def test_a_value_that_cannot_leave_the_sandbox_harms_nothing(callee: str, value: str):
    source = f"""
class A:
    def __hash__(self): return 1
deep = []
for _ in range(100000): deep = [deep]
def main():
    try:
        {callee}({value})
    except (NameError, ValueError, TypeError, PermissionError) as error:
        return "an error of the script's"
"""
    assert conduct(source).value == "an error of the script's"


@pytest.mark.parametrize(
    ("source", "told"),
    [
        ("import asyncio\nasync def main():\n    await asyncio.sleep(1)", "use await sleep(seconds, id=...)"),
        ("import time\ndef main():\n    time.sleep(1)", "use await sleep(seconds, id=...)"),
        ("import time\ndef main():\n    time.time()", "scripts have no clock, so that they replay the same"),
        ("import time\ndef main():\n    time.monotonic()", "no clock"),
        ("from datetime import datetime\ndef main():\n    datetime.now()", "no clock"),
        ("from datetime import date\ndef main():\n    date.today()", "no clock"),
        ("import random\ndef main():\n    random.random()", "scripts have no randomness"),
        ("import os\ndef main():\n    os.urandom(3)", "scripts have no randomness"),
        ("import os\ndef main():\n    os.environ", "scripts have no environment"),
        ("import os\ndef main():\n    os.getenv('HOME')", "scripts have no environment"),
        ("def main():\n    pass\n    open('/etc/passwd')", "run a command step"),
        ("from pathlib import Path\ndef main():\n    Path('/etc/passwd').read_text()", "run a command step"),
        ("def main():\n    pass\n    input()", 'use ask(question, id="...")'),
        ("def main():\n    pass\n    exit()", "return from main"),
        ("def main():\n    pass\n    import subprocess", "No module named 'subprocess' in the sandbox"),
        ("def main():\n    pass\n    __import__('os')", "use an import statement"),
    ],
)
def test_what_scripts_do_not_have_says_what_to_do_instead(source: str, told: str):
    failure = conduct(source).failure
    assert told in failure.message
    assert (failure.code, failure.line) == (FailureCode.SCRIPT, 3)


def test_a_module_that_is_missing_can_be_tried_for():
    assert (
        conduct("try:\n    import numpy\nexcept ImportError:\n    numpy = 1\ndef main():\n    return numpy").value == 1
    )


def test_a_long_message_is_cut():
    failure = conduct("def main():\n    raise ValueError('x' * 10**6)").failure
    assert len(failure.message) == 4003


def test_source_that_holds_half_a_character_is_refused():
    assert "half a character" in conduct("x = '\ud800'\ndef main(): pass").failure.message
