"""The application that is built after the first reply: once, in a thread, and never after its end."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from sidestep.cli.late_application import LateApplication
from sidestep.model.abort import AbortKind, AbortReason
from sidestep.model.errors import Draining
from sidestep.settings import Settings

if TYPE_CHECKING:
    from pathlib import Path

REASON = AbortReason(AbortKind.SHUTDOWN)


async def test_everybody_who_asks_gets_the_same_one(tmp_path: Path) -> None:
    late = LateApplication(Settings(), str(tmp_path / "runs.db"), {})
    assert late.opened is None
    first, second = await asyncio.gather(late.get(), late.get())
    assert first is second
    await late.close(REASON)
    with pytest.raises(Draining):
        await first.service()


async def test_what_was_closed_while_it_was_loaded_is_never_built(tmp_path: Path) -> None:
    late = LateApplication(Settings(), str(tmp_path / "runs.db"), {})
    asked = asyncio.create_task(late.get())
    await asyncio.sleep(0)
    await late.close(REASON)
    with pytest.raises(Draining):
        await asked
    assert late.opened is None
