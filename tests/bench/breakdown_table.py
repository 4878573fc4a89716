"""The parts of a step as tables of the report: those that add up to the whole, and what two layers consist of."""

from __future__ import annotations

from typing import Any


def breakdown_table(parts: list[dict[str, Any]]) -> list[str]:
    """Markdown lines; the last of `parts` is the whole, those that are `of` a layer stand in a table of their own."""
    *inside, whole = [each for each in parts if each.get("of") is None]
    told = sum(each["commits"] for each in inside)
    lines = ["| part of a step | one commit = 1 | share |", "|---|--:|--:|"]
    for each in inside:
        lines.append(f"| {each['part']} | {each['commits']:.2f} | {each['commits'] / whole['commits']:.0%} |")
    lines += [
        f"| sum of the parts | {told:.2f} | {told / whole['commits']:.0%} |",
        f"| {whole['part']} | {whole['commits']:.2f} | |",
    ]
    pieces = [each for each in parts if each.get("of") is not None]
    if pieces:
        lines += ["", "What the two consist of, each by itself, and what a program takes that only hands over:", ""]
        lines += ["| layer | piece | one commit = 1 |", "|---|---|--:|"]
        lines += [f"| {each['of']} | {each['part']} | {each['commits']:.2f} |" for each in pieces]
    return lines
