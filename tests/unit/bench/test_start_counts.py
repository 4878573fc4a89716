"""What a start costs, as counts: they are the same on every machine, and grow only by a change of the code."""

from __future__ import annotations

import ast
import asyncio
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from sidestep.scripts.trust import TrustList
from tests.support.raw_client import REPOSITORY
from tests.support.service_harness import Harness

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

# Python makes the methods of a dataclass anew in each process, which takes as long as importing a small module.
DATACLASSES_MAX = 78

_COUNT = """
import dataclasses
make, made = dataclasses._process_class, []
def noting(cls, *args, **options):
    made.append(cls)
    return make(cls, *args, **options)
dataclasses._process_class = noting
import sidestep.app, sidestep.lsp.workflow_side
print(len(made))
"""


def noting(patch: pytest.MonkeyPatch, owner: Any, name: str) -> list[Callable[..., Any]]:
    """Have calls of a function noted, by what they were given first."""
    called: list[Any] = []
    function = getattr(owner, name)

    def noted(*args: Any, **options: Any) -> Any:
        called.append(args[0])
        return function(*args, **options)

    patch.setattr(owner, name, noted)
    return called


async def test_a_script_that_was_started_before_is_neither_parsed_nor_handed_about(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One thread reads it and looks at trust, once; nobody parses."""
    async with Harness(tmp_path) as h:
        await h.completed()
        parsed = noting(monkeypatch, ast, "parse")
        trusted = noting(monkeypatch, TrustList, "is_trusted")
        threads = noting(monkeypatch, asyncio, "to_thread")
        await h.completed()
        assert parsed == []
        assert len(trusted) == 1
        assert [each.__name__ for each in threads] == ["_resolve"]


@pytest.mark.slow
def test_few_dataclasses_are_made_before_a_first_run() -> None:
    """What is only data is a struct (`model/value.py`)."""
    counted = subprocess.run(
        [sys.executable, "-c", _COUNT], cwd=REPOSITORY / "server", capture_output=True, text=True, check=True
    )
    assert int(counted.stdout) <= DATACLASSES_MAX, counted.stdout
