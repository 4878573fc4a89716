"""The check and the sandbox agree about Python (D4): one test per construct, each asked of the sandbox itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pydantic_monty
import pytest

from sidestep.scripts.check import check
from sidestep.scripts.sandbox_language import BUILTINS, FORBIDDEN_CALLS, MODULES, NESTING_MAX

if TYPE_CHECKING:
    from collections.abc import Iterator

REFUSED = {
    "class inheritance": "class A(object):\n    pass",
    "exception class": "class A(ValueError):\n    pass",
    "metaclass": "class A(metaclass=type):\n    pass",
    "nested class": "class A:\n    class B:\n        pass",
    "if in a class": "class A:\n    if True:\n        x = 1",
    "tuple target in a class": "class A:\n    x, y = 1, 2",
    "two targets in a class": "class A:\n    x = y = 1",
    "expression in a class": "class A:\n    1",
    "import in a class": "class A:\n    import json",
    "property": "class A:\n    @property\n    def x(self): ...",
    "classmethod": "class A:\n    @classmethod\n    def x(cls): ...",
    "yield": "def f():\n    yield 1",
    "yield from": "def f():\n    yield from []",
    "async yield": "async def f():\n    yield 1",
    "yield as a value": "def f():\n    x = yield",
    "del name": "x = 1\ndel x",
    "del item": "x = {1: 1}\ndel x[1]",
    "del slice": "x = [1]\ndel x[:]",
    "del attribute": "class A:\n    x = 1\ndel A.x",
    "async with": "async def f(a):\n    async with a: ...",
    "async for": "async def f(a):\n    async for x in a: ...",
    "async comprehension": "async def f(a):\n    return [x async for x in a]",
    "except*": "try:\n    pass\nexcept* ValueError:\n    pass",
    "@=": "def f(x, y):\n    x @= y",
    "type alias": "type A = int",
    "too many not": "x = " + "not " * (NESTING_MAX + 5) + "1",
    "too many ternaries": "x = " + "1 if 1 else " * (NESTING_MAX + 5) + "1",
    "too many lambdas": "x = " + "lambda: " * (NESTING_MAX + 5) + "1",
    "too long a chain": "x = " + "+".join(["1"] * (NESTING_MAX + 5)),
    "too many elif": "if 0: pass\n" + "elif 0: pass\n" * (NESTING_MAX + 5),
    "too many attributes": "def f(a):\n    a" + ".b" * (NESTING_MAX + 5),
}  # fmt: skip

TAKEN = {
    "class": 'class A:\n    "doc"\n    x = 1\n    y: int = 2\n    z: str\n    ...\n    pass\n    def f(self): return 1',
    "dataclass": "from dataclasses import dataclass\n@dataclass(frozen=True)\nclass A:\n    x: int = 3",
    "empty bases": "class A():\n    pass",
    "async method": "class A:\n    async def f(self): return 1",
    "decorator": "def d(f): return f\n@d\ndef g(): ...",
    "match": 'x = {"a": 1}\nmatch x:\n    case {"a": 1, **rest} if rest: ...\n    case [1, *_] | (2,): ...',
    "try": "try:\n    int(1)\nexcept (ValueError, OSError) as e:\n    x = e\nelse:\n    x = 1\nfinally:\n    x = 2",
    "with": "class A:\n    def __enter__(self): ...\n    def __exit__(self, *a): ...\nwith A() as a, A() as b: ...",
    "walrus": "if (n := 3):\n    x = n",
    "star": "a, *b = [1, 2]\nx = [*b, *b]\ny = {**{}, 'k': 1}",
    "lambda": "f = lambda a, *b, c=1, **d: a",
    "comprehensions": "x = [i for i in range(3) if i]\ny = {i: 1 for i in x}\nz = sum(i for i in x)",
    "global": "x = 1\ndef f():\n    global x\n    x = 2",
    "nonlocal": "def f():\n    x = 1\n    def g():\n        nonlocal x\n        x = 2\n    g()",
    "f-string": "x = 1.5\ny = f\"{x!r:>{10}} {x=} {'a' if x else 'b'}\"",
    "while else": "while False:\n    break\nelse:\n    x = 1",
    "augmented": "x = 2\nx += 1; x -= 1; x *= 2; x //= 1; x **= 2; x |= 1; x <<= 1",
    "matmul": "def f(a, b): return a @ b",
    "assert": "assert True, 'x'",
    "annotation": "x: DataFrame = 1\ndef f(a: Unknown) -> Nothing: ...",
    "future": "from __future__ import annotations",
    "import forms": "import os.path as p, json\nfrom collections import Counter as C\nimport os\nos.path.join('a')",
    "chained compare": "x = 1 < 2 < 3 is not None",
    "slices": "x = [1, 2, 3][::-1]",
    "raise from": "try:\n    raise ValueError('x') from None\nexcept ValueError:\n    pass",
    "positional-only": "def f(a, /, b, *, c): ...",
    "deep enough": "x = " + "[" * 150 + "]" * 150,
    "random with a seed": "import random\nrandom.Random(3).random()",
    "dates": "import datetime\ndatetime.date(2020, 1, 2).isoformat()",
    "time of a number": "import time\ntime.gmtime(0)",
}  # fmt: skip

FORBIDDEN = {
    "open": 'open("x")', "input": "input()", "time.sleep": "time.sleep(1)", "asyncio.sleep": "await asyncio.sleep(1)",
    "os.urandom": "os.urandom(1)", "os.getenv": 'os.getenv("X")', "os.rename": 'os.rename("a", "b")',
    "time.monotonic": "time.monotonic()",
}  # fmt: skip


@pytest.fixture(scope="module")
def sandbox() -> Iterator[pydantic_monty.Monty]:
    with pydantic_monty.Monty(max_processes=1, request_timeout=20, max_checkouts_per_worker=10_000) as pool:
        yield pool


def fed(sandbox: pydantic_monty.Monty, code: str) -> Any:
    """The end of the first turn: complete, a call to the host, or the error."""
    policy: Any = {"datetime": "call_host", "random_start": "call_host", "sleep": "call_host"}
    with sandbox.checkout(script_name="x.py", os_policy=policy) as session:
        try:
            return session.feed_start(code, print_callback=lambda *_: None)
        except pydantic_monty.MontyError as error:
            return error


def told(code: str) -> list[str]:
    """Codes of the errors of a script with this at its top level."""
    return [each.code for each in check(code + "\nasync def main(): ...\n", "x.py") if each.severity == "error"]


@pytest.mark.parametrize("name", REFUSED)
def test_what_the_sandbox_refuses_is_told_before(sandbox: pydantic_monty.Monty, name: str) -> None:
    """D4."""
    answer = fed(sandbox, REFUSED[name])
    assert isinstance(answer, pydantic_monty.MontyError), answer
    assert told(REFUSED[name]) in (["unsupported"], ["syntax"]), told(REFUSED[name])


@pytest.mark.parametrize("name", TAKEN)
def test_what_the_sandbox_takes_is_not_refused(sandbox: pydantic_monty.Monty, name: str) -> None:
    """D4."""
    assert isinstance(fed(sandbox, TAKEN[name]), pydantic_monty.MontyComplete), fed(sandbox, TAKEN[name])
    assert told(TAKEN[name]) == []


def test_modules_have_the_names_of_the_table_and_no_known_others(sandbox: pydantic_monty.Monty) -> None:
    for module, names in MODULES.items():
        answer = fed(sandbox, f"from {module} import {', '.join(sorted(names))}")
        assert isinstance(answer, pydantic_monty.MontyComplete), (module, answer)
        assert told(f"from {module} import {', '.join(sorted(names))}") == []
    for module in ("uuid", "subprocess", "enum", "io", "collections.abc", "json.decoder", "__future__"):
        assert not isinstance(fed(sandbox, f"import {module}"), pydantic_monty.MontyComplete)
        assert told(f"import {module}") == ["unknown-module"]
    for module, name in (("json", "nope"), ("functools", "wraps"), ("collections", "OrderedDict"), ("sys", "exit")):
        assert isinstance(fed(sandbox, f"from {module} import {name}"), pydantic_monty.MontyError)
        assert isinstance(fed(sandbox, f"import {module}\n{module}.{name}"), pydantic_monty.MontyError)
        assert told(f"from {module} import {name}") == ["unknown-module"]
        assert told(f"import {module}\n{module}.{name}") == ["unknown-name"]


def test_builtins_are_those_of_the_table(sandbox: pydantic_monty.Monty) -> None:
    for name in BUILTINS:
        assert isinstance(fed(sandbox, f"{name}\n1"), pydantic_monty.MontyComplete), name
        assert told(f"x = {name}") == []
    for name in ("callable", "issubclass", "super", "vars", "dir", "globals", "bytearray", "UnicodeError", "Warning"):
        assert not isinstance(fed(sandbox, f"x = {name}\n1"), pydantic_monty.MontyComplete), name
        assert told(f"x = {name}") == ["unknown-name"]


@pytest.mark.parametrize("name", FORBIDDEN)
def test_what_needs_the_world_is_forbidden(sandbox: pydantic_monty.Monty, name: str) -> None:
    """No clock, no randomness, no files: the call reaches the host, which refuses it."""
    assert name in FORBIDDEN_CALLS
    code = f"import asyncio, os, time\n{FORBIDDEN[name]}"
    assert not isinstance(fed(sandbox, code), pydantic_monty.MontyComplete)
    assert told(code) == ["forbidden-call"]


def test_gather_takes_no_keywords(sandbox: pydantic_monty.Monty) -> None:
    code = "import asyncio\nawait asyncio.gather(return_exceptions=True)"
    assert isinstance(fed(sandbox, code), pydantic_monty.MontyError)
    assert told(code) == ["unknown-option"]


@pytest.mark.parametrize(
    ("statement", "after"),
    [
        ("del x[1]", "x.pop(1)"),
        ('del x["a"]', 'x.pop("a")'),
        ("del x[:1]", None),
        ("del x[1], x[2]", None),
        ("del x", None),
    ],
)
def test_a_deleted_item_can_be_popped(statement: str, after: str | None) -> None:
    problem = check(f"x = {{}}\n{statement}\nasync def main(): ...", "x.py")[0]
    assert problem.fix == (None if after is None else (2, 1, 2, len(statement) + 1, after))
