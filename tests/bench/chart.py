"""
The chart of what a durable step costs by the number of steps: SVG text, made from the raw results alone.

Colours come from a style sheet inside, with a second set for a dark background. Each line has its name at its end, and
ours are told apart from the others, and from each other, without colours, too: one is thick, one is dashed.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from tests.bench.engine_environments import SERVICE, STDIO
from tests.bench.report_words import ENGINE_WORDS
from tests.bench.results import relative

if TYPE_CHECKING:
    from tests.bench.results import Results

_WIDTH, _HEIGHT = 760, 430
_LEFT, _RIGHT, _TOP, _BOTTOM = 64, 176, 56, 52
# Between the names at the right edge.
_NAME_GAP = 17
_LIGHT = {
    "sidestep": "#0b6bcb",
    "sidestep-stdio": "#2f74b5",
    "dbos": "#b3541e",
    "langgraph": "#237a36",
    "restate": "#8e44ad",
}
_DARK = {
    "sidestep": "#6cb6ff",
    "sidestep-stdio": "#9ecbff",
    "dbos": "#f0a070",
    "langgraph": "#7ee08f",
    "restate": "#d2a8ff",
}
_OTHER = "#777777"

Point = tuple[float, float]


def cost_chart(results: Results) -> str:
    """Cost of a sequential step over one commit against N, both axes logarithmic; empty without such results."""
    sizes = results.sizes("sequential")
    lines: dict[str, list[Point]] = {}
    for engine in results.engines:
        found = [(float(each.size), told.median) for each in sizes if (told := relative(each, engine)) is not None]
        if found:
            lines[engine] = found
    if not lines:
        return ""
    chart = _Axes([each.size for each in sizes], max(cost for line in lines.values() for _, cost in line))
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" '
            'aria-label="Cost of a durable step by the number of steps, one commit being 1">',
            _style(list(lines)),
            f'<rect class="paper" width="{_WIDTH}" height="{_HEIGHT}"/>',
            f'<text class="title" x="{_LEFT}" y="24">Cost of one durable step</text>',
            f'<text class="small" x="{_LEFT}" y="42">one SQLite WAL/FULL commit = 1; lower is better</text>',
            *chart.grid(),
            *[text for engine, line in lines.items() for text in chart.line(engine, line)],
            *chart.names({engine: line[-1] for engine, line in lines.items()}),
            "</svg>",
            "",
        ]
    )


class _Axes:
    """From steps and cost to places in the picture."""

    def __init__(self, sizes: list[int], most: float) -> None:
        self._sizes = sizes
        self._marks = [mark for decade in (1, 10, 100, 1_000) for mark in (decade, 2 * decade, 5 * decade)]
        self._marks = self._marks[: next((i for i, mark in enumerate(self._marks) if mark >= most), 11) + 1]

    def grid(self) -> list[str]:
        texts: list[str] = []
        right, bottom = _WIDTH - _RIGHT, _HEIGHT - _BOTTOM
        for mark in self._marks:
            y = self._y(mark)
            kind = "floor" if mark == 1 else "grid"
            texts.append(f'<line class="{kind}" x1="{_LEFT}" y1="{y:.1f}" x2="{right}" y2="{y:.1f}"/>')
            texts.append(f'<text class="small end" x="{_LEFT - 8}" y="{y + 4:.1f}">{mark}</text>')
        for size in self._sizes:
            x = self._x(size)
            texts.append(f'<text class="small middle" x="{x:.1f}" y="{bottom + 18}">{size:,}</text>')
        middle = (_LEFT + right) / 2
        texts.append(f'<text class="small middle" x="{middle:.1f}" y="{bottom + 38}">steps of the run</text>')
        return texts

    def line(self, engine: str, points: list[Point]) -> list[str]:
        places = [(self._x(size), self._y(cost)) for size, cost in points]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
        dots = [f'<circle class="{engine} dot" cx="{x:.1f}" cy="{y:.1f}" r="3"/>' for x, y in places]
        return [f'<polyline class="{engine} line" points="{path}"/>', *dots]

    def names(self, ends: dict[str, Point]) -> list[str]:
        """At the right edge, each as near to the end of its line as the others leave room for."""
        texts: list[str] = []
        free_from = 0.0
        for engine, (_, cost) in sorted(ends.items(), key=lambda item: -item[1][1]):
            y = max(self._y(cost) + 4, free_from)
            free_from = y + _NAME_GAP
            word = f"{ENGINE_WORDS.get(engine, engine)} {cost:.1f}"
            texts.append(f'<text class="{engine} name" x="{_WIDTH - _RIGHT + 10}" y="{y:.1f}">{word}</text>')
        return texts

    def _x(self, size: float) -> float:
        first, last = math.log(self._sizes[0]), math.log(max(self._sizes[-1], self._sizes[0] * 10))
        return _LEFT + 16 + (math.log(size) - first) / (last - first) * (_WIDTH - _LEFT - _RIGHT - 32)

    def _y(self, cost: float) -> float:
        share = math.log(max(cost, 1.0)) / math.log(self._marks[-1]) if self._marks[-1] > 1 else 0.0
        return _HEIGHT - _BOTTOM - share * (_HEIGHT - _TOP - _BOTTOM - 8)


def _style(engines: list[str]) -> str:
    def colours(palette: dict[str, str]) -> str:
        return "".join(
            f".{engine}.line{{stroke:{palette.get(engine, _OTHER)}}}"
            f".{engine}.dot,.{engine}.name{{fill:{palette.get(engine, _OTHER)}}}"
            for engine in engines
        )

    return (
        "<style>"
        "text{font:13px system-ui,sans-serif}.title{font-size:16px;font-weight:600}.small{font-size:12px}"
        ".end{text-anchor:end}.middle{text-anchor:middle}.line{fill:none;stroke-width:2}"
        f".{SERVICE}.line{{stroke-width:4}}.{STDIO}.line{{stroke-width:3;stroke-dasharray:8 4}}"
        ".paper{fill:#ffffff}.title{fill:#1b1f24}.small{fill:#57606a}"
        ".grid{stroke:#d8dee4}.floor{stroke:#57606a;stroke-dasharray:4 3}"
        f"{colours(_LIGHT)}"
        "@media(prefers-color-scheme:dark){"
        ".paper{fill:#0d1117}.title{fill:#e6edf3}.small{fill:#9198a1}"
        ".grid{stroke:#30363d}.floor{stroke:#9198a1}"
        f"{colours(_DARK)}}}"
        "</style>"
    )
