"""Listing 100 runs out of many, relative to listing 100 out of few."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

from sidestep.model.ports import RunFilter
from sidestep.model.replay_key import hash_text
from sidestep.model.run import Attention, Owner, RunRecord, RunStatus
from sidestep.model.writes import Begin, Finish
from sidestep.settings import Settings
from sidestep.store.location import StoreLocation
from sidestep.store.sqlite import SqliteRunStore
from sidestep.system import SystemClock
from tests.bench.row import row

if TYPE_CHECKING:
    from pathlib import Path

FEW, MANY = 1_000, 100_000
PAGE = 100
ROUNDS = 50
AIM = 1.5

_SOURCE = "async def main():\n    return None\n"


async def measure_listing(folder: Path) -> list[dict[str, Any]]:
    """Two rows: the newest runs of a folder, and its runs of one status; the two stores are asked in turns."""
    few = SqliteRunStore(StoreLocation(folder / "few.db"), SystemClock(), Settings())
    many = SqliteRunStore(StoreLocation(folder / "many.db"), SystemClock(), Settings())
    async with few, many:
        await _fill(few, FEW)
        await _fill(many, MANY)
        rows: list[dict[str, Any]] = []
        for what, wanted in {
            "newest": RunFilter(folder="/work/project"),
            "completed": RunFilter(folder="/work/project", statuses=frozenset({RunStatus.COMPLETED})),
        }.items():
            ratios = [await _list_s(many, wanted) / await _list_s(few, wanted) for _ in range(ROUNDS)]
            rows.append(row(f"list {PAGE} {what} of {MANY:,} runs", ratios, floor=f"of {FEW:,}", aim=AIM))
    return rows


async def _list_s(store: SqliteRunStore, wanted: RunFilter) -> float:
    began = time.perf_counter()
    page = await store.list_runs(wanted, cursor=None, limit=PAGE)
    assert len(page.items) == PAGE
    return time.perf_counter() - began


async def _fill(store: SqliteRunStore, count: int) -> None:
    """Runs of one folder; every tenth is completed, the others are pending."""
    for first in range(0, count, 1_000):
        numbers = range(first, min(first + 1_000, count))
        await asyncio.gather(*(store.create(_record(number), _SOURCE) for number in numbers))
        await asyncio.gather(*(_complete(store, number) for number in numbers if number % 10 == 0))


async def _complete(store: SqliteRunStore, number: int) -> None:
    await store.write(Begin(_run_id(number), 1))
    await store.write(Finish(_run_id(number), 1))


def _run_id(number: int) -> str:
    return f"run_{number:016d}"


def _record(number: int) -> RunRecord:
    return RunRecord(
        run_id=_run_id(number),
        root_run_id=_run_id(number),
        name="report",
        folder="/work/project",
        folder_uri="file:///work/project",
        status=RunStatus.PENDING,
        epoch=1,
        claim_epoch=1,
        owner=Owner("owner-bench", 1, 1),
        attention=Attention.BLOCKING,
        sequence=0,
        created_at_ms=1_000 * number,
        updated_at_ms=1_000 * number,
        source_hash=hash_text(_SOURCE),
        file=None,
        args_json="{}",
        args_schema_json="{}",
        script_ref='{"name":"report"}',
    )
