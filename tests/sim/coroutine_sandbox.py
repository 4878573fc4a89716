"""
A sandbox without worker processes: real scripts, as coroutines of this process, one turn at a time.

`CoroutineSandbox()` implements `model.ports.Sandbox` where a simulation wants thousands of runs and one schedule for a
seed. The source is the one Monty would run; what it may use here is `command`, `sleep`, `workflow`, `ask`,
`parallel`, `pipeline`, `phase`, `log`, `failure` and `print`. The rules of a turn are the real ones: it ends when every
coroutine waits, one settled call begins the next, a failing `parallel` reports `abort` and raises at once, and a killed
session's turns end with nothing in them. `test_coroutine_sandbox.py` holds it against Monty.

Not here: limits of time and memory, checks of a primitive's options, `asyncio.gather`. A turn takes one turn of the
event loop, so runs are interleaved; it takes no thread and no time.
"""

from __future__ import annotations

import asyncio
import builtins
import functools
import itertools
import json
import sys
import traceback
import types
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sidestep.model.execution import Call, ScriptRaised, ScriptReturned, Turn
from sidestep.model.replay_key import canonical_json
from sidestep.model.run import Failure, FailureCode
from sidestep.runtime.bridge import failure_text
from sidestep.runtime.prelude.asking import as_error, failure

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Generator

    from sidestep.model.execution import KnownAnswer, Program, Settled

_OPTIONS = ("title", "phase", "timeout_s")
_STOPPED = "stopped, because a sibling failed"


class CoroutineSandbox:
    """Makes sessions."""

    async def open(self, program: Program, known: KnownAnswer | None = None) -> CoroutineSession:
        return CoroutineSession(program, known)

    async def close(self) -> None:
        """Nothing outlives its session."""


class CoroutineSession:
    """One execution of one script."""

    def __init__(self, program: Program, known: KnownAnswer | None = None) -> None:
        self._script = _Script(program)
        self._known = known
        self._is_killed = False

    async def start(self) -> Turn:
        return await self._turn(self._script.begin)

    async def settle(self, settled: Settled) -> Turn:
        return await self._turn(lambda: self._script.deliver(settled))

    def kill(self) -> None:
        self._is_killed = True

    async def close(self) -> None:
        self.kill()
        self._script.dispose()

    async def _turn(self, work: Callable[[], Turn]) -> Turn:
        # One turn of the event loop, in which an abort may come.
        await asyncio.sleep(0)
        if self._is_killed:
            return Turn()
        turn = work()
        while self._known is not None and (known := self._known(turn)) is not None:
            turn = self._script.deliver(known)
        return turn


@dataclass(eq=False)
class _Task:
    """One coroutine of the script; `scopes` are the `parallel`s it stands in, outermost first."""

    work: Coroutine[Any, Any, Any]
    scopes: tuple[int, ...] = ()
    joiner: _Join | None = None


@dataclass(eq=False)
class _Join:
    """A coroutine's wait for others: over when all have ended, or the first has failed."""

    waiting: _Task
    left: int


@dataclass(frozen=True)
class _Ask:
    name: str
    payload: dict[str, Any]
    line: int


class _Await:
    """What a primitive awaits: hands `request` to the scheduler."""

    def __init__(self, request: Any) -> None:
        self._request = request

    def __await__(self) -> Generator[Any, Any, Any]:
        return (yield self._request)


class _Script:
    """The coroutines of one script and what they wait for."""

    def __init__(self, program: Program) -> None:
        self._program = program
        self._calls: list[Call] = []
        self._ids = itertools.count(1)
        self._scopes = itertools.count(1)
        self._aborted: set[int] = set()
        self._waiting: dict[int, tuple[_Task, int]] = {}
        # What goes on in this turn: a coroutine with a value, or an error, to go on with.
        self._ready: deque[tuple[_Task, Any, BaseException | None]] = deque()
        self._tasks: dict[_Task, None] = {}
        self._main: _Task | None = None
        self._current: _Task | None = None
        self._ended: ScriptReturned | ScriptRaised | None = None
        # Text of a step's failure -> the failure, with the line of its call.
        self._delivered: dict[str, Failure] = {}

    def begin(self) -> Turn:
        namespace = self._namespace()
        try:
            exec(_compiled(self._program.source, self._program.file), namespace)
            args = json.loads(self._program.args_json)
            self._main = self._spawn(_calling(namespace["main"], args), ())
        except Exception as error:
            self._ended = ScriptRaised(self._failure_of(error))
        return self._run()

    def deliver(self, settled: Settled) -> Turn:
        task, line = self._waiting.pop(settled.call_id)
        if settled.error is None:
            assert settled.value_json is not None, "a completion is a value or an error"
            self._ready.append((task, (json.loads(settled.value_json), None), None))
        else:
            error = settled.error
            text = failure_text(error)
            self._delivered[text] = Failure(error.code, error.message, error.step_id, self._program.file, line)
            raised = TimeoutError if error.code is FailureCode.TIMEOUT else RuntimeError
            self._ready.append((task, (None, raised(text)), None))
        return self._run()

    def dispose(self) -> None:
        """The worker is gone."""
        for task in self._tasks:
            task.work.close()
        self._tasks.clear()

    def _run(self) -> Turn:
        while self._ready and self._ended is None:
            self._go_on(*self._ready.popleft())
        calls, self._calls = tuple(self._calls), []
        assert self._ended or self._waiting, "a script that waits has asked for something"
        return Turn(calls, self._ended)

    def _go_on(self, task: _Task, value: Any, error: BaseException | None) -> None:
        self._current = task
        try:
            asked = task.work.send(value) if error is None else task.work.throw(error)
        except StopIteration as stop:
            self._over(task, stop.value, None)
        except BaseException as raised:
            self._over(task, None, raised)
        else:
            self._take(task, asked)

    def _take(self, task: _Task, asked: Any) -> None:
        if isinstance(asked, _Ask):
            call_id = next(self._ids)
            self._waiting[call_id] = (task, asked.line)
            self._calls.append(Call(call_id, asked.name, asked.payload, line=asked.line, scopes=task.scopes))
            return
        works, scopes = asked
        if not works:
            self._ready.append((task, None, None))
            return
        join = _Join(task, len(works))
        for work in works:
            self._spawn(work, scopes).joiner = join

    def _over(self, task: _Task, value: Any, error: BaseException | None) -> None:
        self._tasks.pop(task, None)
        if task is self._main:
            self._ended = self._end(value, error)
            return
        join = task.joiner
        if join is None or join.left <= 0:
            return
        join.left = 0 if error is not None else join.left - 1
        if join.left == 0:
            self._ready.append((join.waiting, None, error))

    def _end(self, value: Any, error: BaseException | None) -> ScriptReturned | ScriptRaised:
        if error is not None:
            return ScriptRaised(self._failure_of(error))
        try:
            return ScriptReturned(canonical_json(value))
        except (TypeError, ValueError) as wrong:
            return ScriptRaised(Failure(FailureCode.VALIDATION, f"the result: {wrong}", file=self._program.file))

    def _failure_of(self, error: BaseException) -> Failure:
        known = self._delivered.get(str(error))
        if known is not None and isinstance(error, RuntimeError | TimeoutError):
            return known
        frames = [f for f in traceback.extract_tb(error.__traceback__) if f.filename == self._program.file]
        line = frames[-1].lineno if frames else None
        return Failure(FailureCode.SCRIPT, f"{type(error).__name__}: {error}", file=self._program.file, line=line)

    def _spawn(self, work: Coroutine[Any, Any, Any], scopes: tuple[int, ...]) -> _Task:
        task = _Task(work, scopes)
        self._tasks[task] = None
        self._ready.append((task, None, None))
        return task

    # The primitives.

    def _namespace(self) -> dict[str, Any]:
        module = types.SimpleNamespace(
            command=lambda argv, **o: self._step("command", {"argv": list(argv)}, ("check", "cwd", "stdin"), o),
            sleep=lambda seconds, **o: self._step("sleep", {"seconds": seconds}, (), o),
            workflow=lambda name, **o: self._step("workflow", {"workflow": name}, ("args",), o),
            ask=lambda question, **o: self._step("ask", {"question": question}, ("schema", "choices"), o),
            parallel=self._parallel,
            pipeline=self._pipeline,
            phase=lambda name, /, **details: self._note("phase", {"name": name, "details": details}),
            log=lambda message, /, **data: self._note("log", {"message": message, "data": data}),
            failure=failure,
        )

        def find(name: str, *rest: Any) -> Any:
            return module if name == "sidestep" else builtins.__import__(name, *rest)

        def note_printed(*values: Any) -> None:
            self._calls.append(Call(None, "print", {"text": " ".join(map(str, values)), "stream": "stdout"}))

        return {"__builtins__": {**vars(builtins), "__import__": find, "print": note_printed}}

    def _note(self, name: str, payload: dict[str, Any]) -> None:
        self._calls.append(Call(None, name, payload, line=sys._getframe(2).f_lineno))

    def _step(
        self, name: str, step_input: dict[str, Any], inputs: tuple[str, ...], options: dict[str, Any]
    ) -> Coroutine[Any, Any, Any]:
        # What is left at its default is left out, as in the real prelude.
        given = {key: options[key] for key in inputs if options.get(key) not in (None, {})}
        if given.get("check") is True:
            del given["check"]
        payload = {"id": options["id"], "input": {**step_input, **given}}
        payload |= {key: options[key] for key in _OPTIONS if options.get(key) is not None}
        return self._perform(_Ask(name, payload, sys._getframe(2).f_lineno), options.get("on_error", "raise"))

    async def _perform(self, ask: _Ask, on_error: str) -> Any:
        assert self._current is not None, "somebody awaits"
        if self._aborted.intersection(self._current.scopes):
            raise RuntimeError(f"step in step {json.dumps(ask.payload['id'])}: {_STOPPED}")
        value, error = await _Await(ask)
        if error is None:
            return value
        if on_error == "return":
            return as_error(error)
        raise error

    def _parallel(self, tasks: Any, *, limit: int | None = None, on_error: str = "raise") -> Any:
        if isinstance(tasks, dict):

            async def as_dict() -> Any:
                return dict(zip(tasks, await self._fan([*tasks.values()], limit, on_error), strict=True))

            return as_dict()
        return self._fan(list(tasks), limit, on_error)

    def _pipeline(self, items: Any, *stages: Any, limit: int | None = None, on_error: str = "raise") -> Any:
        async def through(value: Any) -> Any:
            for stage in stages:
                value = stage(value)
                if isinstance(value, types.CoroutineType):
                    value = await value
            return value

        return self._fan([through(item) for item in items], limit, on_error)

    async def _fan(self, items: list[Any], limit: int | None, on_error: str) -> list[Any]:
        assert self._current is not None, "somebody awaits"
        if self._aborted.intersection(self._current.scopes):
            raise RuntimeError(_STOPPED)
        scope = next(self._scopes)
        results: list[Any] = [None] * len(items)
        left = deque(enumerate(items))
        failed = False

        async def work() -> None:
            nonlocal failed
            while left and not failed:
                position, item = left.popleft()
                try:
                    results[position] = await item
                except Exception as error:
                    if on_error == "return":
                        results[position] = as_error(error)
                        continue
                    if not failed:
                        failed = True
                        self._aborted.add(scope)
                        self._calls.append(Call(None, "abort", {"scope": scope}))
                    raise

        workers = [work() for _ in range(min(limit or len(items), len(items)))]
        try:
            await _Await((workers, (*self._current.scopes, scope)))
        finally:
            for _, item in left:
                item.close()
        return results


async def _calling(main: Any, args: dict[str, Any]) -> Any:
    result = main(**args)
    return await result if isinstance(result, types.CoroutineType) else result


@functools.cache
def _compiled(source: str, file: str) -> types.CodeType:
    return compile(source, file, "exec")
