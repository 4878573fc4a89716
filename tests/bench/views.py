"""The files that are made from the raw results: the report and its chart."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.bench.chart import cost_chart
from tests.bench.report import report

if TYPE_CHECKING:
    from pathlib import Path

    from tests.bench.results import Results


def views(results: Results) -> dict[str, str]:
    """Text by file name."""
    return {"RESULTS.md": report(results), "cost.svg": cost_chart(results)}


def render(results: Results, folder: Path | None = None) -> str:
    """The report; with a folder, the files are written there."""
    made = views(results)
    for name, text in made.items() if folder is not None else ():
        assert folder is not None
        (folder / name).write_text(text, encoding="utf-8")
    return made["RESULTS.md"]
