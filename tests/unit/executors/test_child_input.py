"""Our end of a child's standard input."""

from __future__ import annotations

import asyncio
import os
from typing import Any

from sidestep.executors.child_process import ChildInput


async def test_an_input_that_is_closing_already_is_aborted_without_a_fault() -> None:
    """asyncio's pipe would lose its connection twice, and complain."""
    loop = asyncio.get_running_loop()
    complaints: list[dict[str, Any]] = []
    loop.set_exception_handler(lambda _, context: complaints.append(context))
    reading, writing = os.pipe()
    _, child_input = await loop.connect_write_pipe(ChildInput, os.fdopen(writing, "wb", buffering=0))
    child_input.write(b"x")
    child_input.end()
    child_input.abort()
    await child_input.closed
    await asyncio.sleep(0)
    assert complaints == []
    assert os.read(reading, 10) == b"x"
    os.close(reading)
