"""
Where the time of one durable step goes: clocks around the layers of a sequential run, whose parts add up to the whole.

A turn of the sandbox and the commit of the outcome it was given take place at once. So the time of a step is what one
of the two takes alone, what both take together, what the executor takes, and what is left for the engine and the event
loop. What the sandbox and the store are made of is told beside that, and what the same hand-overs take in a program
that does nothing else. Each clock costs about a microsecond, which is left where it stands.
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
from tests.bench.hand_overs import hand_overs

if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from pathlib import Path

STEPS, ROUNDS = 1_000, 5
WHOLE = "the whole step"
BARE = "two threads, a process that echoes, and a commit, both at once"
_COMMITS = 200


class Clocks:
    """Seconds by layer; a layer's method is wrapped while `around` lasts."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        # When each call began and ended, by layer and in order.
        self.spans: dict[str, list[tuple[float, float]]] = {}

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
                self._add(layer, began, time.perf_counter())

        return timed

    def _coroutine(self, original: Callable[..., Any], layer: str) -> Callable[..., Any]:
        @wraps(original)
        async def timed(*args: Any, **options: Any) -> Any:
            began = time.perf_counter()
            try:
                return await original(*args, **options)
            finally:
                self._add(layer, began, time.perf_counter())

        return timed

    def overlap(self, layer: str, other: str) -> float:
        """Seconds in which both were under way; of each, one call at a time."""
        seconds = 0.0
        spans, others = self.spans[layer], self.spans[other]
        at = 0
        for began, ended in spans:
            while at < len(others) and others[at][1] <= began:
                at += 1
            for other_began, other_ended in others[at:]:
                if other_began >= ended:
                    break
                seconds += min(ended, other_ended) - max(began, other_began)
        return seconds

    def _add(self, layer: str, began: float, ended: float) -> None:
        self.seconds[layer] = self.seconds.get(layer, 0.0) + ended - began
        self.spans.setdefault(layer, []).append((began, ended))


_LAYERS = (
    (MontySandboxSession, "settle", "sandbox"),
    (MontySandboxSession, "_take", "turn"),
    (FreeExecutor, "execute", "executor"),
    (SqliteRunStore, "write", "store"),
    (WriterThread, "_commit", "transaction"),
    (Tables, "write", "rules"),
    (Tables, "flush", "flush"),
)


async def measure_breakdown(folder: Path) -> list[dict[str, Any]]:
    """
    The parts in order, each `{part, commits, of}`: those of the median round, one WAL/FULL commit = 1.

    `of` is None for parts that add up to the whole, which is the last; else the layer that this is a piece of.
    """
    rounds: list[dict[str, float]] = []
    layers: dict[str, str | None] = {}
    floor = CommitFloor(folder)
    async with bench_service(folder) as service, hand_overs(folder / "hand-overs") as bare:
        await service.run(IN_TURN, {"count": 100})
        for _ in range(ROUNDS):
            bare_s = await bare.seconds(STEPS)
            commit_s = statistics.median(floor.measure(_COMMITS))
            clocks = Clocks()
            with _all_around(clocks):
                began = time.perf_counter()
                await service.run(IN_TURN, {"count": STEPS})
                whole_s = time.perf_counter() - began
            parts = {**_parts(clocks, whole_s), BARE: (bare_s * STEPS, "nothing of ours")}
            rounds.append({part: seconds / STEPS / commit_s for part, (seconds, _) in parts.items()})
            layers = {part: layer for part, (_, layer) in parts.items()}
    floor.close()
    # One round's own: medians part by part would come from several, and would not add up.
    rounds.sort(key=lambda each: each[WHOLE])
    median = rounds[len(rounds) // 2]
    return [{"part": part, "commits": commits, "of": layers[part]} for part, commits in median.items()]


@contextmanager
def _all_around(clocks: Clocks) -> Generator[None]:
    with ExitStack() as stack:
        for owner, method, layer in _LAYERS:
            stack.enter_context(clocks.around(owner, method, layer))
        yield


def _parts(clocks: Clocks, whole_s: float) -> dict[str, tuple[float, str | None]]:
    """Seconds by part, with the layer it is a piece of. What a commit rides with (lazy records) is part of it."""
    spent, both = clocks.seconds, clocks.overlap("sandbox", "store")
    applied = spent["rules"] + spent["flush"]
    return {
        "the script's turn in its worker process": (spent["turn"], "sandbox"),
        "to a thread and back": (spent["sandbox"] - spent["turn"], "sandbox"),
        "rules, encoding and statements": (applied, "store"),
        "begin, look for others' commits, commit with fsync": (spent["transaction"] - applied, "store"),
        "to the writer's thread and back": (spent["store"] - spent["transaction"], "store"),
        "sandbox and store at once": (both, None),
        "sandbox alone": (spent["sandbox"] - both, None),
        "store alone": (spent["store"] - both, None),
        "executor": (spent["executor"], None),
        "engine and event loop": (whole_s - spent["sandbox"] - spent["store"] + both - spent["executor"], None),
        WHOLE: (whole_s, None),
    }
