"""What is imported without its dispensable parts, in a process of its own."""

from __future__ import annotations

import subprocess
import sys

import pytest


def run(code: str) -> str:
    lean = "import sys\nfrom sidestep.cli.lean_imports import import_lean\n"
    return subprocess.run(
        [sys.executable, "-c", lean + code], check=True, capture_output=True, text=True, timeout=30
    ).stdout


@pytest.mark.slow
@pytest.mark.parametrize(("name", "part"), [("asyncio", "ssl"), ("msgspec", "typing_extensions"), ("shutil", "lzma")])
def test_a_part_is_left_out_and_who_wants_it_gets_it(name: str, part: str) -> None:
    said = run(f"import_lean({name!r})\nprint({part!r} in sys.modules)\nimport {part}\nprint({part}.__name__)")
    assert said.split() == ["False", part]


@pytest.mark.slow
def test_what_is_there_already_is_used() -> None:
    packs = "print('xztar' in dict(shutil.get_archive_formats()))"
    assert run(f"import lzma\nimport_lean('shutil')\nimport shutil\n{packs}").split() == ["True"]
    assert run("import shutil\nimport_lean('shutil')\nprint('lzma' in sys.modules)").split() == ["True"]


@pytest.mark.slow
def test_msgspec_reads_the_same_types_without_typing_extensions() -> None:
    code = """
import_lean("msgspec")
import msgspec
from typing import Annotated, NotRequired, Required, TypedDict
class Wanted(TypedDict, total=False):
    a: Required[int]
    b: NotRequired[Annotated[int, msgspec.Meta(gt=1)]]
print(msgspec.json.decode(b'{"a":1,"b":2}', type=Wanted))
"""
    assert run(code).strip() == "{'a': 1, 'b': 2}"
