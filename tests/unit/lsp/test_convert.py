"""What a run used and kept, on the wire: left out where there is nothing to say."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from sidestep.lsp import convert
from sidestep.model.run import RunStatus
from sidestep.model.usage import Spent, Usage
from tests.support.service_harness import Harness

if TYPE_CHECKING:
    from pathlib import Path

USED = Usage(7, 0, 3_100_000)
USED_WIRE = {"inputTokens": 7, "outputTokens": 0, "costUsd": 3.1}


def plain(struct: Any) -> dict[str, Any]:
    return dict(msgspec.to_builtins(struct))


@pytest.mark.parametrize("status", list(RunStatus))
async def test_only_a_terminal_status_carries_what_the_run_used(tmp_path: Path, status: RunStatus) -> None:
    async with Harness(tmp_path) as h:
        record = await h.completed("async def main():\n    return 1\n")
    spent = msgspec.structs.replace(record, status=status, usage=USED, kept=Spent(720_000, USED))
    told = plain(convert.status_changed(spent, None, None))
    is_terminal = status in (RunStatus.COMPLETED, RunStatus.FAILED)
    assert {name: told[name] for name in ("usage", "kept") if name in told} == (
        {"usage": USED_WIRE, "kept": {"durationMs": 720_000, "usage": USED_WIRE}} if is_terminal else {}
    )
    detail = plain(convert.run_detail(spent, "own", (), None))
    assert (detail["usage"], detail["kept"]["durationMs"]) == (USED_WIRE, 720_000)
    for nothing in (convert.status_changed(record, None, None), convert.run_detail(record, "own", (), None)):
        assert plain(nothing).keys().isdisjoint({"usage", "kept"})


def test_time_that_was_kept_needs_no_agent() -> None:
    assert plain(convert.kept(Spent(40))) == {"durationMs": 40}
