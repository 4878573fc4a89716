"""One run of the benchmark: the comparison, what is measured of Sidestep alone, and its wire."""

from __future__ import annotations

import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from tests.bench.breakdown import measure_breakdown
from tests.bench.cancel_cost import measure_cancel_cost
from tests.bench.comparison import NAMES, Comparison
from tests.bench.engine_environments import SERVICE, EngineProgram, engine_programs
from tests.bench.language_cost import measure_language_cost
from tests.bench.machine import machine, own_versions
from tests.bench.pickup import measure_pickup
from tests.bench.report import GROUPS
from tests.bench.results import Results
from tests.bench.resume_cost import measure_resume_cost
from tests.bench.wire_peers import NODE, PeerMissing, WirePeers
from tests.bench.wire_start import measure_wire_memory, measure_wire_start
from tests.bench.wire_traffic import measure_wire_notifications, measure_wire_pipelined, measure_wire_round_trip
from tests.bench.workload import FLOOR, Workload

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Generator, Sequence
    from pathlib import Path

    from tests.bench.floor import CommitFloor
    from tests.bench.plan import Plan

    Rows = Awaitable[list[dict[str, Any]]]

MEASURES: Sequence[Callable[[Path], Rows]] = (
    measure_resume_cost,
    measure_cancel_cost,
    measure_pickup,
    measure_language_cost,
)
WIRE_MEASURES: Sequence[Callable[[WirePeers], Rows]] = (
    measure_wire_start,
    measure_wire_memory,
    measure_wire_round_trip,
    measure_wire_pipelined,
    measure_wire_notifications,
)
# Rows in a commit, and commits of it.
_FLOOR_GROUPS = {10: 100, 100: 30}
_FLOOR_ROUNDS = 5


class Measuring:
    """
    Args:
        folder: Empty; for everything that is stored meanwhile.
        only: What has this in its name is measured.
        engines: Who is compared, by name.
        without: Peers that are left out.
    """

    def __init__(
        self,
        folder: Path,
        floor: CommitFloor,
        plan: Plan,
        only: str,
        engines: Sequence[str],
        without: frozenset[str],
    ) -> None:
        self._folder = folder
        self._floor = floor
        self._plan = plan
        self._only = only
        self._engines = engines
        self._without = without
        self._began = time.monotonic()
        self._programs: dict[str, EngineProgram] = {}
        self._wire_peers: WirePeers | None = None
        self._with_wire = False
        self.results = Results(machine(), own_versions(), [], [])

    def install(self, *, with_wire: bool) -> None:
        """
        Whether the peers can be had is known before anything is measured.

        Raises:
            PeerMissing: One cannot; the message ends with how to go on without it.
        """
        self._with_wire = with_wire
        home = self._folder / "home"
        home.mkdir()
        is_compared = any(self._only in name for name in NAMES)
        with self._timed("install"):
            for name in self._engines if is_compared else (SERVICE,):
                with _told_how_to_go_on(name):
                    self._programs |= engine_programs([name], home)
            if with_wire and any(self._only in measure.__name__ for measure in WIRE_MEASURES):
                with _told_how_to_go_on(NODE):
                    self._wire_peers = WirePeers(self._folder, without=self._without & {NODE})

    def compare(self) -> None:
        comparison = Comparison(self._programs, self._floor, self._folder / "engines", self._plan)
        try:
            with self._timed("first start"):
                self.results.versions |= comparison.versions()
            with self._timed(GROUPS):
                groups = self._groups()
            comparison.measure(self._only, self._timed)
        finally:
            comparison.close()
        self.results.workloads += [*groups, *comparison.workloads]

    async def measure_alone(self) -> None:
        """Figures without a peer, where a step's time goes, and the wire."""
        for measure in MEASURES:
            if self._only in measure.__name__:
                with self._timed(measure.__name__):
                    self.results.rows += await measure(self._folder)
        if self._only in measure_breakdown.__name__:
            with self._timed(measure_breakdown.__name__):
                self.results.breakdown = await measure_breakdown(self._folder)
        for measure in WIRE_MEASURES if self._wire_peers is not None else ():
            if self._only in measure.__name__ and self._wire_peers is not None:
                with self._timed(measure.__name__):
                    self.results.rows += await measure(self._wire_peers)

    def _groups(self) -> list[Workload]:
        """What a row costs that shares its commit, one row in a commit = 1."""
        groups = [Workload(GROUPS, rows, "ratio") for rows in _FLOOR_GROUPS]
        if self._only not in GROUPS or not self._with_wire:
            return []
        for _ in range(_FLOOR_ROUNDS):
            alone = sum(self._floor.measure(100)) / 100
            for group in groups:
                times = self._floor.measure_groups(group.size, _FLOOR_GROUPS[group.size])
                group.add(FLOOR, sum(times) / len(times) / alone)
        return groups

    @contextmanager
    def _timed(self, what: str) -> Generator[None]:
        """Says that a part begins, and keeps what it took."""
        began = time.monotonic()
        print(f"{began - self._began:6.0f} s  {what}", file=sys.stderr)
        yield
        self.results.seconds[what] = round(time.monotonic() - began, 1)


@contextmanager
def _told_how_to_go_on(name: str) -> Generator[None]:
    try:
        yield
    except PeerMissing as missing:
        raise PeerMissing(f"{missing}\nTo go on without it: make bench ARGS='--without {name}'") from None
