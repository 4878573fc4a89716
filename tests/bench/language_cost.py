"""A full check of a long script as an editor asks for it, relative to what only parsing and walking it takes."""

from __future__ import annotations

import ast
import asyncio
import time
from typing import TYPE_CHECKING, Any

from sidestep.language.diagnostics import diagnose
from sidestep.language.document import Snapshot
from sidestep.language.surroundings import Surroundings
from sidestep.settings import Settings
from tests.bench.row import row

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

LINES = 500
ROUNDS = 40
# The floor is three parses and one walk: the check may cost that much.
PARSES = 3
AIM = 1.0


async def measure_language_cost(folder: Path) -> list[dict[str, Any]]:
    """One row: check and floor in turns, each round on a text of its own; in a thread, as the server does it."""
    ratios = await asyncio.to_thread(lambda: [_ratio(number) for number in range(ROUNDS)])
    floor = f"{PARSES} parses and a walk"
    return [row(f"full check of a script of {LINES} lines", ratios, floor=floor, aim=AIM)]


def _ratio(number: int) -> float:
    source = script(LINES, number)
    floor_s = _took_s(lambda: _parse_and_walk(source))
    path = "/work/project/.sidestep/workflows/long.py"
    check_s = _took_s(
        lambda: diagnose(Snapshot(path, source, number), Surroundings(), bytes_max=Settings().script_bytes_max)
    )
    return check_s / floor_s


def script(lines: int, number: int) -> str:
    """A script as people write them: steps in loops, schemas, conditions, a function for every few of them."""
    text = f'"""Script {number}."""\nfrom sidestep import agent, command, parallel, phase\n\n'
    text += 'SCHEMA = {"type": "object", "properties": {"blockers": {"type": "array"}}}\n'
    part = 0
    while text.count("\n") < lines - 12:
        part += 1
        text += (
            f"\n\nasync def part_{part}(task: str, rounds: int):\n"
            f'    phase("part {part}", rounds=rounds)\n'
            "    for n in range(rounds):\n"
            "        tests, review = await parallel([\n"
            f'            command(["pytest", "-q"], id=f"tests-{part}:{{n}}", check=False),\n'
            f'            agent(f"Review {{task}} strictly.", id=f"review-{part}:{{n}}", schema=SCHEMA),\n'
            "        ])\n"
            '        blockers = review["blockers"] + ([tests["stdout"]] if tests["exit_code"] else [])\n'
            "        if not blockers:\n"
            '            return {"rounds": n, "blockers": [each.strip() for each in blockers]}\n'
            f'        await agent("Fix: " + "; ".join(blockers), id=f"fix-{part}:{{n}}")\n'
            "    return None\n"
        )
    calls = "".join(f"    await part_{each}(task, 3)\n" for each in range(1, part + 1))
    return text + f"\n\nasync def main(task: str):\n{calls}"


def _parse_and_walk(source: str) -> None:
    for _ in range(PARSES):
        tree = ast.parse(source)
    for _ in ast.walk(tree):
        pass


def _took_s(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began
