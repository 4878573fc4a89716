"""
Where the time of one durable step goes: clocks around the layers of a sequential run, whose parts add up to the whole.

A step of such a run is a chain: nothing of it overlaps. So the time between two steps is what the sandbox takes, what
the executor takes, what the store takes, and what is left for the engine and the event loop. Each clock costs about a
microsecond, which is left where it stands.
"""

from __future__ import annotations

import statistics
import time
from contextlib import ExitStack, contextmanager
from functools import wraps
from inspect import iscoroutinefunction
from typing import TYPE_CHECKING, Any

from sidestep.runtime.sandbox import MontySandboxSession
from sidestep.store.sqlite import SqliteRunStore
from sidestep.store.transaction import Tables
from sidestep.store.writer_thread import WriterThread
from tests.bench.bench_service import FreeExecutor, bench_service
from tests.bench.engines.sidestep_step import IN_TURN
from tests.bench.floor import CommitFloor

if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from pathlib import Path

STEPS, ROUNDS = 1_000, 5
WHOLE = "the whole step"
_COMMITS = 200


class Clocks:
    """Seconds by layer; a layer's method is wrapped while `around` lasts."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self.calls: dict[str, int] = {}

    @contextmanager
    def around(self, owner: Any, method: str, layer: str) -> Generator[None]:
        original = getattr(owner, method)
        wrapped = self._coroutine(original, layer) if iscoroutinefunction(original) else self._function(original, layer)
        setattr(owner, method, wrapped)
        try:
            yield
        finally:
            setattr(owner, method, original)

    def _function(self, original: Callable[..., Any], layer: str) -> Callable[..., Any]:
        @wraps(original)
        def timed(*args: Any, **options: Any) -> Any:
            began = time.perf_counter()
            try:
                return original(*args, **options)
            finally:
                self._add(layer, time.perf_counter() - began)

        return timed

    def _coroutine(self, original: Callable[..., Any], layer: str) -> Callable[..., Any]:
        @wraps(original)
        async def timed(*args: Any, **options: Any) -> Any:
            began = time.perf_counter()
            try:
                return await original(*args, **options)
            finally:
                self._add(layer, time.perf_counter() - began)

        return timed

    def _add(self, layer: str, seconds: float) -> None:
        self.seconds[layer] = self.seconds.get(layer, 0.0) + seconds
        self.calls[layer] = self.calls.get(layer, 0) + 1


_LAYERS = (
    (MontySandboxSession, "settle", "sandbox"),
    (MontySandboxSession, "_take_turn", "turn"),
    (FreeExecutor, "execute", "executor"),
    (SqliteRunStore, "write", "store"),
    (WriterThread, "_commit", "transaction"),
    (Tables, "write", "rules"),
    (Tables, "flush", "flush"),
)


async def measure_breakdown(folder: Path) -> list[dict[str, Any]]:
    """The parts in order, each `{part, commits}`: those of the median round, one WAL/FULL commit = 1."""
    rounds: list[dict[str, float]] = []
    floor = CommitFloor(folder)
    async with bench_service(folder) as service:
        await service.run(IN_TURN, {"count": 100})
        for _ in range(ROUNDS):
            commit_s = statistics.median(floor.measure(_COMMITS))
            clocks = Clocks()
            with _all_around(clocks):
                began = time.perf_counter()
                await service.run(IN_TURN, {"count": STEPS})
                whole_s = time.perf_counter() - began
            rounds.append({part: seconds / STEPS / commit_s for part, seconds in _parts(clocks, whole_s).items()})
    floor.close()
    # One round's own: medians part by part would come from several, and would not add up.
    rounds.sort(key=lambda each: each[WHOLE])
    return [{"part": part, "commits": commits} for part, commits in rounds[len(rounds) // 2].items()]


@contextmanager
def _all_around(clocks: Clocks) -> Generator[None]:
    with ExitStack() as stack:
        for owner, method, layer in _LAYERS:
            stack.enter_context(clocks.around(owner, method, layer))
        yield


def _parts(clocks: Clocks, whole_s: float) -> dict[str, float]:
    """Seconds by part. What a commit rides with (lazy `started` records) is part of it."""
    spent = clocks.seconds
    applied = spent["rules"] + spent["flush"]
    return {
        "sandbox: the script's turn in its worker process": spent["turn"],
        "sandbox: to a thread and back": spent["sandbox"] - spent["turn"],
        "executor": spent["executor"],
        "store: rules, encoding and statements": applied,
        "store: begin, look for others' commits, commit with fsync": spent["transaction"] - applied,
        "store: to the writer's thread and back": spent["store"] - spent["transaction"],
        "engine and event loop": whole_s - spent["sandbox"] - spent["executor"] - spent["store"],
        WHOLE: whole_s,
    }
