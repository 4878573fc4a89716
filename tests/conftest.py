"""What every test may use: `async def test_*` and a path for a store. Everything else lives in `tests/support`."""

from __future__ import annotations

import asyncio
import gc
import inspect
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path


def pytest_sessionstart() -> None:
    """
    No collection of garbage while tests are collected.

    CPython 3.11 can fail to parse a file ("AST constructor recursion depth mismatch", see `sidestep/model/parsing.py`)
    when a finalizer parses in between, and pytest parses every test file.
    """
    gc.disable()


def pytest_collection_finish() -> None:
    gc.enable()


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """
    Run a coroutine test in an event loop of its own, with asyncio's debug mode off: it would slow what is measured.

    A plugin (anyio, pytest-asyncio) was not worth a dependency: fixtures here are synchronous.
    """
    test = pyfuncitem.obj
    if not inspect.iscoroutinefunction(test):
        return None
    parameters = inspect.signature(test).parameters
    asyncio.run(test(**{name: value for name, value in pyfuncitem.funcargs.items() if name in parameters}), debug=False)
    return True


@pytest.fixture
def tmp_store_path(tmp_path: Path) -> Path:
    """Path of a store that does not exist yet, in a folder that does."""
    return tmp_path / "store.sqlite"
