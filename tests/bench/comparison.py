"""
The workloads, given to every engine in turn: round by round the floor, one engine, the next, and again.

An engine that breaks or takes too long is stopped, which is said in the results, and begins the next workload anew.
"""

from __future__ import annotations

import shutil
import statistics
import sys
import time
from functools import partial
from typing import TYPE_CHECKING

from tests.bench.engine_environments import OURS, RESTATE
from tests.bench.engine_process import EngineBroken, EngineStopped, stored_bytes
from tests.bench.plan import (
    CANCEL_S_MAX,
    CONCURRENT_STEPS,
    FEW_RUNS,
    KILL_STEPS,
    MANY_RUNS,
    ORDER_S_MAX,
    OWN_RUNS_MAX,
    Plan,
)
from tests.bench.workload import FLOOR, Workload

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from contextlib import AbstractContextManager
    from pathlib import Path

    from tests.bench.engine_environments import EngineProgram
    from tests.bench.engine_process import EngineProcess
    from tests.bench.floor import CommitFloor

# Commits of a round's floor.
_COMMITS = 50
_POLL_S = 0.02
# No tick for so long: the work has stopped.
_SILENCE_S = 0.3
# Of the workloads that weigh a run.
_STEPS = 1_000
_SYNCED_STEPS = 100
_FILL_S_MAX = 300.0


NAMES = (
    *("sequential", "fanOut", "concurrent", "start", "cancel", "syncs", "storageAndMemory"),
    *("kill", "listing", "waiting"),
)


class Comparison:
    """
    Args:
        programs: The engines by name; installed.
        folder: Empty; each engine has its stores below it.
    """

    def __init__(self, programs: dict[str, EngineProgram], floor: CommitFloor, folder: Path, plan: Plan) -> None:
        self._programs = programs
        self._floor = floor
        self._folder = folder
        self._plan = plan
        self._running: dict[str, EngineProcess] = {}
        self._stores = 0
        self.workloads: list[Workload] = []
        self._measures = dict(
            zip(
                NAMES,
                (
                    *(self._sequential, self._fan_out, self._concurrent, self._start, self._cancel, self._syncs),
                    *(self._storage, self._kill, self._listing, self._waiting),
                ),
                strict=True,
            )
        )

    def close(self) -> None:
        for process in self._running.values():
            process.kill()
        self._running.clear()

    def versions(self) -> dict[str, str]:
        """Of everything that is compared, by package."""
        found: dict[str, str] = {}
        for name in self._programs:
            found |= self._process(name).ask("versions", ORDER_S_MAX)
        return found

    def measure(self, wanted: str, around: Callable[[str], AbstractContextManager[None]]) -> None:
        """Everything whose name has `wanted` in it; `around` each."""
        for name, measure in self._measures.items():
            if wanted in name:
                with around(name):
                    measure()

    # What runs in processes that stay.

    def _sequential(self) -> None:
        for count, rounds in self._plan.sequential.items():
            self._per_step("sequential", count, count, rounds, "sequential", count=count)

    def _fan_out(self) -> None:
        for count, rounds in self._plan.fan_out.items():
            self._per_step("fanOut", count, count, rounds, "fan_out", count=count)

    def _concurrent(self) -> None:
        for runs, rounds in self._plan.concurrent.items():
            total = runs * CONCURRENT_STEPS
            self._per_step("concurrent", runs, total, rounds, "concurrent", runs=runs, steps=CONCURRENT_STEPS)

    def _per_step(self, name: str, size: int, total: int, rounds: int, order: str, **options: int) -> None:
        workload = Workload(name, size, "s")
        for engine in self._too_slow(workload, total):
            workload.stopped[engine] = f"would take more than {ORDER_S_MAX:g} s"

        def ask(engine: str) -> None:
            workload.add(engine, self._process(engine).ask(order, ORDER_S_MAX, **options) / total)

        self._rounds(workload, rounds, ask, with_floor=True)

    def _too_slow(self, workload: Workload, steps: int) -> list[str]:
        """Engines whose smaller sizes of the same workload say that this one takes too long."""
        smaller = [each for each in self.workloads if each.name == workload.name and each.size < workload.size]
        if not smaller:
            return []
        last = smaller[-1]
        slow = {name for name, times in last.samples.items() if statistics.median(times) * steps > ORDER_S_MAX}
        return sorted((slow | last.stopped.keys()) - {FLOOR})

    def _start(self) -> None:
        workload = Workload("start", 0, "s")

        def ask(engine: str) -> None:
            workload.add(engine, self._process(engine).ask("start", ORDER_S_MAX))

        self._rounds(workload, self._plan.start_rounds, ask, with_floor=True)

    def _cancel(self) -> None:
        """From the order to stop until it is answered and the work has stopped, whichever is later."""
        workload = Workload("cancel", 0, "s")

        def ask(engine: str) -> None:
            ticks = self._folder / f"ticks-{engine}-{len(workload.samples.get(engine, ()))}"
            asked, answered = self._process(engine).ask("cancel", ORDER_S_MAX, ticks=str(ticks))
            stopped = _stopped_at(ticks, asked)
            if stopped is None:
                workload.stopped[engine] = f"answers, and the work goes on for more than {CANCEL_S_MAX:g} s"
                self._running.pop(engine).kill()
            else:
                workload.add(engine, max(answered, stopped) - asked)

        self._rounds(workload, self._plan.cancel_rounds, ask, with_floor=True)

    def _syncs(self) -> None:
        """How often a step waits for the disk; counted where strace is."""
        strace = shutil.which("strace")
        workload = Workload("syncs", _SYNCED_STEPS, "calls")

        def ask(engine: str) -> None:
            calls = self._folder / f"syncs-{engine}"
            prefix = (str(strace), "-f", "-qq", "-e", "trace=fsync,fdatasync", "-e", "signal=none", "-o", str(calls))
            with self._fresh(engine, prefix) as process:
                process.ask("sequential", ORDER_S_MAX, count=1)
                before = _finished_calls(calls)
                process.ask("sequential", ORDER_S_MAX, count=_SYNCED_STEPS)
                workload.add(engine, (_finished_calls(calls) - before) / _SYNCED_STEPS)

        self._rounds(workload, self._plan.storage_rounds if strace else 0, ask)

    def _storage(self) -> None:
        """What a step takes on disk, and what its run takes of memory."""
        storage, memory = Workload("storage", _STEPS, "bytes"), Workload("memory", _STEPS, "bytes")

        def ask(engine: str) -> None:
            # In a process of its own: the peak of one workload, whatever was measured before.
            with self._fresh(engine) as process:
                process.ask("sequential", ORDER_S_MAX, count=1)
                before = stored_bytes(process.folder)
                process.ask("sequential", ORDER_S_MAX, count=_STEPS)
                memory.add(engine, process.peak_bytes())
                storage.add(engine, (stored_bytes(process.folder) - before) / _STEPS)

        self._rounds(storage, self._plan.storage_rounds, ask)
        self._keep(memory)

    # What needs processes of its own.

    def _kill(self) -> None:
        """From the spawn of another process to its first new step; and how long a first process takes to be ready."""
        startup, workload = Workload("startup", 0, "s"), Workload("kill", KILL_STEPS, "s")

        def ask(engine: str) -> None:
            began = time.monotonic()
            with self._fresh(engine) as process:
                startup.add(engine, time.monotonic() - began)
                process.send("hold", count=KILL_STEPS)
                process.wait_told("held", ORDER_S_MAX)
            began = time.monotonic()
            with self._programs[engine].spawn(process.folder, is_recovering=True) as process:
                process.send("go_on")
                told = process.wait_told("stepped", ORDER_S_MAX)
                workload.add(engine, time.monotonic() - began)
            if told != f"stepped {KILL_STEPS}":
                workload.stopped[engine] = f"did finished steps again ({told})"

        self._rounds(workload, self._plan.kill_rounds, ask, with_floor=True)
        if startup.samples:
            startup.samples[FLOOR] = workload.samples[FLOOR]
        self._keep(startup)

    def _listing(self) -> None:
        """The newest 20 of few and of many stored runs."""
        filled: dict[str, EngineProcess] = {}

        def fill(engine: str, size: int) -> None:
            if engine not in filled:
                filled[engine] = self._fresh(engine)
            count = min(size, OWN_RUNS_MAX) if engine == RESTATE else size
            filled[engine].ask("fill", _FILL_S_MAX, count=count)
            # The first list after that also reads what it needs for the first time.
            filled[engine].ask("list", ORDER_S_MAX)

        try:
            for size in (FEW_RUNS, MANY_RUNS) if self._plan.list_rounds else ():
                workload = Workload("listing", size, "s")
                self._rounds(workload, 1, partial(fill, size=size))
                self._rounds(
                    workload,
                    self._plan.list_rounds,
                    lambda engine, workload=workload: workload.add(engine, filled[engine].ask("list", ORDER_S_MAX)),
                    with_floor=True,
                )
        finally:
            for process in filled.values():
                process.kill()

    def _waiting(self) -> None:
        """What each of many waiting runs takes of memory."""
        count = self._plan.waiting_runs
        workload = Workload("waiting", count, "bytes")

        def ask(engine: str) -> None:
            with self._fresh(engine) as process:
                process.ask("start", ORDER_S_MAX)
                before = process.proportional_bytes()
                process.ask("wait", 2 * ORDER_S_MAX, count=count)
                workload.add(engine, (process.proportional_bytes() - before) / count)

        self._rounds(workload, 1 if count else 0, ask)

    def _rounds(self, workload: Workload, rounds: int, ask: Callable[[str], None], *, with_floor: bool = False) -> None:
        """Ask every engine once a round, another one first each time; one that fails is left out from then on."""
        for number in range(rounds):
            if with_floor:
                workload.add(FLOOR, statistics.median(self._floor.measure(_COMMITS)))
            names = [name for name in self._programs if name not in workload.stopped]
            turn = number % max(1, len(names))
            for name in [*names[turn:], *names[:turn]]:
                try:
                    ask(name)
                except EngineStopped:
                    workload.stopped[name] = f"was stopped after {ORDER_S_MAX:g} s"
                    self._forget(name)
                except EngineBroken as broken:
                    if name in OURS:
                        raise
                    print(broken, file=sys.stderr)
                    workload.stopped[name] = "failed: " + str(broken).splitlines()[0]
                    self._forget(name)
        self._keep(workload)

    def _keep(self, workload: Workload) -> None:
        if workload not in self.workloads and workload.samples:
            self.workloads.append(workload)

    def _process(self, name: str) -> EngineProcess:
        """The engine's process that stays."""
        if name not in self._running:
            self._running[name] = self._fresh(name)
        return self._running[name]

    def _forget(self, name: str) -> None:
        process = self._running.pop(name, None)
        if process is not None:
            process.kill()

    def _fresh(self, name: str, prefix: Sequence[str] = ()) -> EngineProcess:
        """A process with an empty store; `prefix` stands before its command."""
        self._stores += 1
        process = self._programs[name].spawn(self._folder / f"{name}-{self._stores}", prefix=prefix)
        try:
            process.wait_ready()
        except BaseException:
            process.kill()
            raise
        return process


def _finished_calls(calls: Path) -> int:
    # A call during which another process was shown stands on two lines.
    return sum("<unfinished" not in line for line in calls.read_text().splitlines())


def _stopped_at(ticks: Path, asked: float) -> float | None:
    """
    When the work that ticks stopped: the time of the last change of its size; None when it goes on.

    Args:
        asked: Monotonic time at which it was told to.
    """
    size, changed = -1, asked
    while True:
        now, seen = time.monotonic(), ticks.stat()
        if seen.st_size != size:
            size = seen.st_size
            changed = now - (time.time() - seen.st_mtime)
        if now - changed > _SILENCE_S:
            return max(asked, changed)
        if now - asked > CANCEL_S_MAX:
            return None
        time.sleep(_POLL_S)
