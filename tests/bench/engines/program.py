"""
One engine of the comparison as a program of its own: orders come in and answers go out, one JSON object a line.

Every engine answers the same orders, which are the methods of its class; times are taken inside the program, around
the engine's own calls. The programs of peers run in environments of their own and import nothing of Sidestep's.

    {"do": "sequential", "with": {"count": 100}}  ->  {"answer": 0.0421}
    anything the engine has to tell by itself     ->  {"told": "held"}
    a broken order                                ->  {"error": "..."}

Orders (seconds where nothing else is said; all are coroutines):

- `versions()`: what is measured, by package.
- `sequential(count)`, `fan_out(count)`, `concurrent(runs, steps)`: from the request of the run, or of all runs, to
  its result; `count` trivial steps one after the other, or all at once.
- `start()`: from the request of a run to the first instruction of its first step.
- `cancel(ticks)`: start a run whose step has a child that appends to the file `ticks` every few milliseconds, cancel it
  as the engine's documentation says, and answer the monotonic times `[asked, answered]`.
- `hold(count)`: a run of `count` finished steps and one that tells "held" and never ends; has no answer.
- `go_on()`: in the process after the kill: go on with that run; the first step that is done tells its number.
- `wait(count)`: so many runs that wait for something that does not come; answers when all of them wait.
- `fill(count)`: let so many ended runs be stored; `list()`: read the newest 20 of them as the engine lists them.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import time
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

TICK_S = 0.005
PAGE = 20


class Engine(Protocol):
    async def open(self) -> None: ...

    async def close(self) -> None: ...


class Teller:
    """Writes one JSON object a line to the descriptor `output`."""

    def __init__(self, output: int) -> None:
        self.output = output

    def tell(self, message: dict[str, Any]) -> None:
        """One line, in one write. Thread-safe."""
        os.write(self.output, json.dumps(message).encode() + b"\n")

    @classmethod
    def of_stdout(cls) -> Teller:
        """Takes stdout: what libraries print from now on goes to stderr."""
        output = os.dup(1)
        os.dup2(2, 1)
        return cls(output)


class HeldStep:
    """
    The trivial step that can be told to hold: steps answer when they began, on the machine's monotonic clock.

    Args:
        is_recovering: This process goes on with what another left: its first step is told.
    """

    def __init__(self, teller: Teller, *, is_recovering: bool) -> None:
        self._teller = teller
        self._is_recovering = is_recovering

    def begin(self, number: int, held: int) -> bool:
        """Step `number` begins; True: it must never end. `held` is the step to hold at, or -1."""
        if self._is_recovering:
            self._is_recovering = False
            self._teller.tell({"told": f"stepped {number}"})
        elif number == held:
            self._teller.tell({"told": "held"})
            return True
        return False


def ticking_shell(ticks: str) -> str:
    """The work of a step that is to be cancelled: what `sh -c` does with it ticks and never ends."""
    return f"while :; do printf . >> '{ticks}'; sleep {TICK_S}; done"


async def tick_in_child(ticks: str) -> None:
    """That work as a careful author of a peer's step does it: when the step is cancelled, its child is killed."""
    child = await asyncio.create_subprocess_exec("sh", "-c", ticking_shell(ticks), start_new_session=True)
    try:
        await child.wait()
    finally:
        if child.returncode is None:
            os.killpg(child.pid, signal.SIGKILL)
            await child.wait()


async def until(is_so: Callable[[], Awaitable[bool]], every_s: float = 0.05, limit_s: float = 120.0) -> None:
    """Ask again and again: what is waited for happens in other processes, which tell nobody."""
    async with asyncio.timeout(limit_s):
        while not await is_so():  # noqa: ASYNC110
            await asyncio.sleep(every_s)


async def wait_for_file(name: str) -> None:
    """Until the step has ticked."""
    await until(lambda: asyncio.to_thread(os.path.exists, name), every_s=0.002)


def main(make: Callable[[str, Teller, bool], Engine]) -> None:
    """`python PROGRAM FOLDER [recover]`: everything the engine stores is below the folder."""
    teller = Teller.of_stdout()
    asyncio.run(_serve(make(sys.argv[1], teller, sys.argv[2:] == ["recover"]), teller))


async def _serve(engine: Engine, teller: Teller) -> None:
    await engine.open()
    teller.tell({"told": "ready"})
    try:
        while line := await asyncio.to_thread(sys.stdin.readline):
            order = json.loads(line)
            try:
                answer = await getattr(engine, order["do"])(**order.get("with", {}))
            except Exception as error:
                teller.tell({"error": f"{type(error).__name__}: {error}"})
                raise
            teller.tell({"answer": answer})
    finally:
        await engine.close()


def now() -> float:
    """The machine's monotonic clock: the same in every process."""
    return time.monotonic()
