"""Where the time of a step goes: layers that overlap are counted once, and the parts add up."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.bench.breakdown import WHOLE, Clocks, measure_breakdown
from tests.bench.breakdown_table import breakdown_table

if TYPE_CHECKING:
    from pathlib import Path


def test_what_two_layers_do_at_once_is_found() -> None:
    clocks = Clocks()
    clocks.spans = {"a": [(0.0, 4.0), (6.0, 7.0), (8.0, 9.0)], "b": [(1.0, 2.0), (3.0, 6.5), (20.0, 21.0)]}
    assert clocks.overlap("a", "b") == clocks.overlap("b", "a") == 2.5


@pytest.mark.slow
async def test_the_parts_of_a_step_add_up_to_the_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.bench.breakdown.STEPS", 50)
    monkeypatch.setattr("tests.bench.breakdown.ROUNDS", 1)
    parts = await measure_breakdown(tmp_path)
    *inside, whole = [each for each in parts if each["of"] is None]
    assert whole["part"] == WHOLE
    assert sum(each["commits"] for each in inside) == pytest.approx(whole["commits"])
    assert all(each["commits"] >= 0 for each in parts)
    assert next(each for each in inside if each["part"] == "sandbox and store at once")["commits"] > 0
    assert f"| {WHOLE} | {whole['commits']:.2f} | |" in breakdown_table(parts)
