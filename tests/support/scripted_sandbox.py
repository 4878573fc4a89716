"""
A sandbox without a worker: runs a script's text in this process, by the port's rules, some microseconds a turn.

Knows `command`, `workflow`, `ask`, `parallel` and `asyncio.gather`; for tests that run thousands of executions. Not
safe, and not for scripts of others.
"""

from __future__ import annotations

import builtins
import functools
import json
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from sidestep.model.execution import Call, ScriptRaised, ScriptReturned, Settled, Turn
from sidestep.model.replay_key import canonical_json
from sidestep.model.run import Failure, FailureCode, loads

if TYPE_CHECKING:
    from collections.abc import Coroutine, Generator

    from sidestep.model.execution import KnownAnswer, Program


class _Step:
    """A step call that is awaited; becomes its outcome."""

    def __init__(self, name: str, payload: dict[str, Any]) -> None:
        self.name = name
        self.payload = payload

    def __await__(self) -> Generator[Any, Any, Any]:
        return (yield self)


class _Fan:
    """Coroutines to run at once; `stops` means that a failure aborts the rest, as in `parallel`."""

    def __init__(self, works: list[Any], *, stops: bool) -> None:
        self.works = works
        self.stops = stops

    def __await__(self) -> Generator[Any, Any, Any]:
        return (yield self)


class _Fiber:
    """One coroutine of the script and who waits for it."""

    def __init__(self, work: Any, scopes: tuple[int, ...], parent: _Waiting | None, position: int) -> None:
        self.coroutine = _as_coroutine(work)
        self.scopes = scopes
        self.parent = parent
        self.position = position


class _Waiting:
    """A fiber that waits for others."""

    def __init__(self, fiber: _Fiber, count: int, scope: int | None) -> None:
        self.fiber = fiber
        self.results: list[Any] = [None] * count
        self.left = count
        self.scope = scope
        self.is_over = False


class ScriptedSession:
    """`SandboxSession` over the script's own coroutines."""

    def __init__(self, program: Program, known: KnownAnswer | None = None) -> None:
        self._program = program
        self._known = known
        self._fibers: dict[int, _Fiber] = {}
        self._calls: list[Call] = []
        self._next_call = 0
        self._next_scope = 0
        self._ended: ScriptReturned | ScriptRaised | None = None
        self.is_killed = False

    async def start(self) -> Turn:
        names = dict(vars(SimpleNamespace(command=_command, workflow=_workflow, ask=_ask, parallel=_parallel)))
        scope: dict[str, Any] = {"__builtins__": {**vars(builtins), "__import__": _importer(names)}}
        exec(_compiled(self._program.source, self._program.file), scope)
        self._send(_Fiber(scope["main"](**loads(self._program.args_json)), (), None, 0), None, None)
        return self._turn()

    async def settle(self, settled: Settled) -> Turn:
        if self.is_killed:
            return Turn()
        self._deliver(settled)
        return self._turn()

    def _deliver(self, settled: Settled) -> None:
        fiber = self._fibers.pop(settled.call_id)
        if settled.error is not None:
            raised = TimeoutError if settled.error.code is FailureCode.TIMEOUT else RuntimeError
            self._send(fiber, None, raised(settled.error.message))
        else:
            self._send(fiber, json.loads(settled.value_json or "null"), None)

    def kill(self) -> None:
        self.is_killed = True

    async def close(self) -> None:
        self.is_killed = True
        for fiber in self._fibers.values():
            fiber.coroutine.close()
        self._fibers.clear()

    def _turn(self) -> Turn:
        while not self.is_killed:
            calls, self._calls = tuple(self._calls), []
            turn = Turn(calls, self._ended)
            known = None if self._known is None else self._known(turn)
            if known is None:
                return turn
            self._deliver(known)
        return Turn()

    def _send(self, fiber: _Fiber, value: Any, error: BaseException | None) -> None:
        """Run a fiber until it waits or ends, and whoever waited for it."""
        try:
            wanted = fiber.coroutine.send(value) if error is None else fiber.coroutine.throw(error)
        except StopIteration as returned:
            self._over(fiber, returned.value, None)
            return
        except Exception as raised:
            self._over(fiber, None, raised)
            return
        if isinstance(wanted, _Step):
            self._next_call += 1
            self._fibers[self._next_call] = fiber
            self._calls.append(Call(self._next_call, wanted.name, wanted.payload, scopes=fiber.scopes))
            return
        assert isinstance(wanted, _Fan), "a script awaits steps and fans only"
        self._next_scope += wanted.stops
        scope = self._next_scope if wanted.stops else None
        waiting = _Waiting(fiber, len(wanted.works), scope)
        scopes = fiber.scopes if scope is None else (*fiber.scopes, scope)
        for position, work in enumerate(wanted.works):
            self._send(_Fiber(work, scopes, waiting, position), None, None)

    def _over(self, fiber: _Fiber, value: Any, error: Exception | None) -> None:
        waiting = fiber.parent
        if waiting is None:
            if error is None:
                self._ended = ScriptReturned(canonical_json(value))
            else:
                self._ended = ScriptRaised(Failure(FailureCode.SCRIPT, str(error), file=self._program.file))
            return
        if waiting.is_over:
            return
        if error is not None:
            waiting.is_over = True
            if waiting.scope is not None:
                self._calls.append(Call(None, "abort", {"scope": waiting.scope}))
            self._send(waiting.fiber, None, error)
            return
        waiting.results[fiber.position] = value
        waiting.left -= 1
        if waiting.left == 0:
            waiting.is_over = True
            self._send(waiting.fiber, waiting.results, None)


class ScriptedSandbox:
    """`Sandbox` of scripted sessions."""

    async def open(self, program: Program, known: KnownAnswer | None = None) -> ScriptedSession:
        return ScriptedSession(program, known)

    async def close(self) -> None:
        pass


@functools.cache
def _compiled(source: str, file: str) -> Any:
    return compile(source, file, "exec", dont_inherit=True)


def _importer(names: dict[str, Any]) -> Any:
    asyncio_names = SimpleNamespace(gather=lambda *works: _Fan(list(works), stops=False))

    def imported(name: str, *_: Any) -> Any:
        return asyncio_names if name == "asyncio" else SimpleNamespace(**names)

    return imported


def _as_coroutine(work: Any) -> Coroutine[Any, Any, Any]:
    async def awaited() -> Any:
        return await work

    return awaited()


def _command(argv: list[str], *, id: str) -> _Step:
    return _Step("command", {"id": id, "input": {"argv": argv}})


def _workflow(name: str, *, id: str) -> _Step:
    return _Step("workflow", {"id": id, "input": {"workflow": name}})


def _ask(question: str, *, id: str, timeout_s: float | None = None) -> _Step:
    limit = {} if timeout_s is None else {"timeout_s": timeout_s}
    return _Step("ask", {"id": id, "input": {"question": question}, **limit})


def _parallel(works: list[Any]) -> _Fan:
    return _Fan(works, stops=True)
