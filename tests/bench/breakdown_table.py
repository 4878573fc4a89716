"""The parts of a step as a table of the report, with the sum of the parts beside the whole."""

from __future__ import annotations

from typing import Any


def breakdown_table(parts: list[dict[str, Any]]) -> list[str]:
    """Markdown lines; the last of `parts` is the whole."""
    lines = ["| part of a step | one commit = 1 | share |", "|---|--:|--:|"]
    *inside, whole = parts
    told = sum(each["commits"] for each in inside)
    for each in inside:
        lines.append(f"| {each['part']} | {each['commits']:.2f} | {each['commits'] / whole['commits']:.0%} |")
    lines.append(f"| sum of the parts | {told:.2f} | {told / whole['commits']:.0%} |")
    return [*lines, f"| {whole['part']} | {whole['commits']:.2f} | |"]
