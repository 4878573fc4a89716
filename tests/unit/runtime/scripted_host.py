"""A host for scripts in tests: drives the real sandbox, answers steps as told, and keeps everything that was called."""

from __future__ import annotations

import asyncio
import json
import textwrap
import time
from collections import deque
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from sidestep.model.execution import Call, Program, ScriptRaised, ScriptReturned, Settled, Turn
from sidestep.model.run import Failure, FailureCode
from sidestep.runtime.sandbox import MontySandbox
from sidestep.settings import Settings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from sidestep.model.execution import SandboxSession

FILE = "/w/script.py"


@dataclass
class Trace:
    """What a script did: its calls in order, and how it ended."""

    calls: list[Call] = field(default_factory=list[Call])
    ended: ScriptReturned | ScriptRaised | None = None

    @property
    def value(self) -> Any:
        assert isinstance(self.ended, ScriptReturned), self.ended
        return json.loads(self.ended.value_json)

    @property
    def failure(self) -> Failure:
        assert isinstance(self.ended, ScriptRaised), self.ended
        return self.ended.failure

    @property
    def step_ids(self) -> list[str]:
        return [call.payload["id"] for call in self.calls if call.call_id is not None]

    def named(self, name: str) -> list[Call]:
        return [call for call in self.calls if call.name == name]

    def step(self, step_id: str) -> Call:
        return next(call for call in self.calls if call.payload.get("id") == step_id)


def fail(message: str = "exit code 1", code: FailureCode = FailureCode.STEP) -> Failure:
    return Failure(code, message)


def echo(call: Call) -> Any:
    """The usual answer: the step's id."""
    return call.payload["id"]


class ScriptedHost:
    """One session, driven turn by turn; `take` and `settle` by hand, or `finish` with an answer for each step."""

    def __init__(self, session: SandboxSession) -> None:
        self.session = session
        self.trace = Trace()
        self.pending: dict[str, Call] = {}
        self.arrived: deque[str] = deque()

    async def start(self) -> Turn:
        return self._take(await self.session.start())

    async def settle(self, step_id: str, answer: Any = None) -> Turn:
        call = self.pending.pop(step_id)
        self.arrived.remove(step_id)
        assert call.call_id is not None
        if isinstance(answer, Failure):
            error = Failure(answer.code, answer.message, step_id=step_id)
            settled = Settled(call.call_id, error=error)
        else:
            settled = Settled(call.call_id, value_json=json.dumps(answer))
        return self._take(await self.session.settle(settled))

    async def finish(self, answer: Callable[[Call], Any], pick: Callable[[list[str]], str] | None = None) -> Trace:
        """Answer what is pending, first come first served unless `pick` says otherwise, until the script ends."""
        while self.trace.ended is None:
            step_id = pick(list(self.arrived)) if pick else self.arrived[0]
            await self.settle(step_id, answer(self.pending[step_id]))
        return self.trace

    def _take(self, turn: Turn) -> Turn:
        self.trace.calls += turn.calls
        self.trace.ended = turn.ended
        for call in turn.calls:
            if call.call_id is not None:
                step_id = call.payload["id"]
                assert step_id not in self.pending, "tests use each id once at a time"
                self.pending[step_id] = call
                self.arrived.append(step_id)
        return turn


def program(source: str, args: dict[str, Any] | None = None) -> Program:
    return Program("script", FILE, textwrap.dedent(source), json.dumps(args or {}))


@asynccontextmanager
async def sandbox(settings: Settings | None = None) -> AsyncIterator[MontySandbox]:
    made = MontySandbox(settings or Settings(), monotonic=time.monotonic)
    try:
        yield made
    finally:
        await made.close()


@asynccontextmanager
async def hosted(
    source: str, args: dict[str, Any] | None = None, settings: Settings | None = None
) -> AsyncIterator[ScriptedHost]:
    async with sandbox(settings) as made:
        session = await made.open(program(source, args))
        try:
            yield ScriptedHost(session)
        finally:
            await session.close()


def conduct(
    source: str,
    answer: Callable[[Call], Any] = echo,
    *,
    args: dict[str, Any] | None = None,
    settings: Settings | None = None,
    pick: Callable[[list[str]], str] | None = None,
) -> Trace:
    """Run a script to its end in a sandbox of its own."""

    async def scenario() -> Trace:
        async with hosted(source, args, settings) as host:
            await host.start()
            return await host.finish(answer, pick)

    return asyncio.run(scenario())
