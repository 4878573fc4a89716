"""
One script in one Monty worker process: turns, questions and answers, all in the calling thread.

A turn runs from one delivery to the moment every coroutine of the script is blocked. Everything the sandbox asks in
between is answered at once: primitives are collected (an awaited one gets a future), everything else gets an error.
Which thread calls, who is waiting and who kills the process is `sandbox.py`'s business; this module is not thread-safe.

Invariant: nothing but checked text crosses, in both directions.
Invariant: calls are reported in call order; ids of calls are this module's own, dense from 1, and never the sandbox's.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pydantic_monty import (
    FunctionSnapshot,
    FutureSnapshot,
    MontyComplete,
    MontyCrashedError,
    MontyError,
    NameLookupSnapshot,
)

from sidestep.model.execution import Call, ScriptRaised, ScriptReturned, Turn
from sidestep.model.replay_key import canonical_json
from sidestep.model.run import Failure, FailureCode, loads
from sidestep.runtime import advice
from sidestep.runtime.bridge import (
    FRAME_BYTES_MAX,
    NOTES,
    PARK,
    STEP_ID_CHARS_MAX,
    STEPS,
    crossable,
    read_call,
    read_group,
    write_answer,
)
from sidestep.runtime.failures import Failures
from sidestep.runtime.loader import HOST, LIMITS, PRELUDE, WAITING_HOST, Loaded, load, prelude_source
from sidestep.runtime.printed import PrintedLines
from sidestep.runtime.step_group import AnswersTooBig, StepGroup

if TYPE_CHECKING:
    from collections.abc import Callable

    from pydantic_monty import MontySession, OSPolicy, ResourceLimits

    from sidestep.model.execution import Program, Settled
    from sidestep.settings import Settings

    Snapshot = FunctionSnapshot | NameLookupSnapshot | FutureSnapshot | MontyComplete

OS_POLICY: OSPolicy = {"datetime": "call_host", "random_start": "call_host", "sleep": "call_host"}

# Frames carry the number of the feed; the prelude is feed 0.
_SCRIPT_FRAME = "<python-input-1>"
_ARGS = "__sidestep_args__"
# Stands below the script, so that both are read in one crossing, and a line below its end, which may be a backslash.
_MAIN = f'await {PRELUDE}["run_main"](main, {_ARGS})\n'

# A turn's calls, all its questions, and its length with the host's share: a loop around `phase(...)` has an end, too.
_CALLS_PER_TURN_MAX = 50_000
_CALL_BYTES_PER_TURN_MAX = 64 * 1024**2
_TURN_FACTOR_MAX = 10


class _Over(Exception):
    """A limit of the turn that the sandbox itself does not keep was hit."""


@dataclass(frozen=True)
class _Awaited:
    """A call that was not answered yet: the sandbox's id of it, its line, and whom it was made together with."""

    sandbox_id: int
    line: int | None
    group: StepGroup | None = None
    position: int = 0


def resource_limits(settings: Settings) -> ResourceLimits:
    """The sandbox's own limits; the number of questions is not one of them, turns are limited here."""
    return {
        "max_memory": settings.sandbox_memory_bytes_max,
        "max_turn_duration_secs": settings.sandbox_turn_s_max,
        "max_recursion_depth": settings.sandbox_recursion_max,
        "max_suspensions": 10**9,
    }


def feed_prelude(session: MontySession, settings: Settings) -> None:
    """
    Feed the prelude, and nothing of any script's, to a fresh session.

    Raises:
        MontyError: The worker cannot even do that.
    """
    limits = {
        "step_bytes": settings.step_input_bytes_max,
        "note_bytes": 2 * settings.log_bytes_max,
        "log_bytes": settings.log_bytes_max,
        "result_bytes": settings.message_bytes_max,
        "width": settings.parallel_width_max,
        "id_chars": STEP_ID_CHARS_MAX,
    }
    snapshot = session.feed_start(prelude_source(), inputs={LIMITS: limits}, print_callback=_prints_nothing)
    while isinstance(snapshot, NameLookupSnapshot):
        assert snapshot.variable_name in _HOSTS, "the prelude asks for nothing but the host"
        snapshot = snapshot.resume(value=_HOSTS[snapshot.variable_name])
    assert isinstance(snapshot, MontyComplete), "the prelude only defines"


class ScriptWorker:
    """Conducts `program` in `session`, which was fed the prelude and nothing else; `monotonic` gives seconds."""

    def __init__(
        self, session: MontySession, program: Program, settings: Settings, monotonic: Callable[[], float]
    ) -> None:
        self._session = session
        self._program = program
        self._settings = settings
        self._monotonic = monotonic
        self._printed = PrintedLines(settings.sandbox_printed_bytes_max)
        self._call_bytes_max = max(settings.step_input_bytes_max, 2 * settings.log_bytes_max) + FRAME_BYTES_MAX
        self._loaded = Loaded("", ("",))
        self._failures = self._failures_of(self._loaded)
        self._is_gone = False
        self._calls: list[Call] = []
        self._call_bytes = 0
        self._turn_until = 0.0
        self._blocked: FutureSnapshot | FunctionSnapshot | None = None
        # By our id of the call.
        self._pending: dict[int, _Awaited] = {}
        self._last_id = 0

    @property
    def is_gone(self) -> bool:
        """True when the process may have died, or lives with all the memory it took: it is not used again."""
        return self._is_gone

    def start(self) -> Turn:
        """Run the script until it blocks or ends."""
        loaded = load(self._program.source)
        if not isinstance(loaded, Loaded):
            return self._ended(self._failures.script(f"ImportError: {loaded.message}", loaded.line))
        self._loaded = loaded
        self._failures = self._failures_of(loaded)
        try:
            loaded.source.encode()
        except UnicodeEncodeError:
            return self._ended(self._failures.script("the source is not Unicode text: it holds half a character"))
        code, inputs = f"{loaded.source}\n{_MAIN}", {_ARGS: crossable(self._program.args_json)}
        return self._turn(lambda: self._session.feed_start(code, inputs=inputs, print_callback=self._take_printed))

    def keep(self, settled: Settled) -> bool:
        """
        Take an answer after which the script still waits for others; False when it is `settle` that must take it.

        Needs no turn: the worker process hears nothing of it, and what is large about an answer is left to `settle`.
        """
        awaited = self._pending[settled.call_id]
        if awaited.group is None or not awaited.group.waits_after(awaited.position, settled):
            return False
        del self._pending[settled.call_id]
        self._remember(settled, awaited)
        awaited.group.take(awaited.position, settled)
        return True

    def settle(self, settled: Settled) -> Turn:
        """Deliver one completion that `keep` did not take, and run until the script blocks or ends."""
        blocked, self._blocked = self._blocked, None
        assert blocked is not None, "only a blocked script takes a completion"
        assert settled.call_id in self._pending, "a call is settled once"
        awaited = self._pending.pop(settled.call_id)
        self._remember(settled, awaited)

        def resume() -> Snapshot:
            answer: str | list[str]
            if awaited.group is None:
                answer = write_answer(settled)
            else:
                given = awaited.group.take(awaited.position, settled)
                assert given is not None, "`keep` takes what leaves the script waiting"
                answer = [write_answer(each) for each in given] if isinstance(given, list) else write_answer(given)
            if isinstance(blocked, FunctionSnapshot):
                return blocked.resume({"return_value": answer})
            return blocked.resume({awaited.sandbox_id: {"return_value": answer}})

        return self._turn(resume)

    def _remember(self, settled: Settled, awaited: _Awaited) -> None:
        if settled.error is not None:
            self._failures.remember(settled.error, awaited.line)

    def _turn(self, resume: Callable[[], Snapshot]) -> Turn:
        self._calls, self._call_bytes = [], 0
        self._turn_until = self._monotonic() + self._settings.sandbox_turn_s_max * _TURN_FACTOR_MAX
        try:
            snapshot = resume()
            while not isinstance(snapshot, FutureSnapshot):
                if snapshot is self._blocked:
                    return Turn(tuple(self._calls))
                if isinstance(snapshot, MontyComplete):
                    return self._returned(snapshot.output)
                snapshot = self._answer(snapshot)
        except MontyError as error:
            # A worker that cannot allocate ends itself, which arrives as a MemoryError, too.
            self._is_gone = isinstance(error, MontyCrashedError) or isinstance(error.exception(), MemoryError)
            return self._ended(self._failures.of(error))
        except _Over as over:
            return self._ended(self._failures.limit(str(over)))
        except AnswersTooBig:
            return self._ended(self._failures.too_big(None))
        self._blocked = snapshot
        return Turn(tuple(self._calls))

    def _answer(self, snapshot: FunctionSnapshot | NameLookupSnapshot) -> Snapshot:
        if self._monotonic() > self._turn_until:
            limit = self._settings.sandbox_turn_s_max * _TURN_FACTOR_MAX
            raise _Over(f"the script ran for more than {limit:g} s without waiting for a step")
        if isinstance(snapshot, NameLookupSnapshot):
            self._note_undefined(snapshot.variable_name)
            return snapshot.resume()
        name = snapshot.function_name
        if snapshot.is_os_function:
            # Only a module's name is looked at: other values need not be ones that can leave the sandbox.
            raised, message = advice.for_system_call(name, snapshot.args if name == "import" else ())
            return snapshot.resume({"exc_type": raised, "message": message})
        if name not in _HOSTS:
            self._note_undefined(name)
            return snapshot.resume({"exc_type": "NameError", "message": f"name {name!r} is not defined"})
        return self._take_call(snapshot)

    def _take_call(self, snapshot: FunctionSnapshot) -> Snapshot:
        called = self._read_calls(snapshot)
        if isinstance(called, str):
            return snapshot.resume({"exc_type": "ValueError", "message": called})
        calls, group = called
        if calls[0].name == PARK:
            return snapshot.resume({"future": ...})
        self._call_bytes += sum(len(text) for text in snapshot.args)
        if len(self._calls) + len(calls) > _CALLS_PER_TURN_MAX or self._call_bytes > _CALL_BYTES_PER_TURN_MAX:
            raise _Over(f"the script called phase, log or steps {len(self._calls)} times without waiting for a step")
        if calls[0].name in NOTES:
            self._calls += calls
            return snapshot.resume({"return_value": None})
        assert calls[0].name in STEPS, "a call is a note or a step"
        for position, call in enumerate(calls):
            self._last_id += 1
            self._pending[self._last_id] = _Awaited(snapshot.call_id, call.line, group, position)
            self._calls.append(Call(self._last_id, call.name, call.payload, line=call.line, scopes=call.scopes))
        if snapshot.function_name == WAITING_HOST:
            # Nothing else of the script can run: the call is left unanswered, which saves a round trip.
            self._blocked = snapshot
            return snapshot
        return snapshot.resume({"future": ...})

    def _read_calls(self, snapshot: FunctionSnapshot) -> tuple[list[Call], StepGroup | None] | str:
        """The call that was made, or those that were made together, with their group; a text says why it is none."""
        try:
            if len(snapshot.args) < 2:
                call = read_call(snapshot.args, self._call_bytes_max)
                return call if isinstance(call, str) else ([call], None)
            group = read_group(snapshot.args, self._call_bytes_max)
        except (TypeError, ValueError, OverflowError, RecursionError) as error:
            # The script called the host by itself, with values that cannot leave the sandbox.
            return f"that is no call: {error}"
        if isinstance(group, str):
            return group
        calls, fails = group
        return calls, StepGroup(fails, self._settings.sandbox_memory_bytes_max)

    def _take_printed(self, stream: str, text: str) -> None:
        self._calls += self._printed.take(stream, text)

    def _note_undefined(self, name: str) -> None:
        what_to_do = advice.for_name(name)
        if what_to_do is not None:
            self._failures.hint(name, what_to_do)

    def _returned(self, output: Any) -> Turn:
        try:
            # The prelude gives text, and a script may have put something else in its place.
            told = loads(output)
            if "problem" in told:
                return self._ended(Failure(FailureCode(told["code"]), told["problem"], file=self._program.file))
            value_json = canonical_json(told["value"])
        except (ValueError, TypeError, KeyError, RecursionError) as error:
            return self._ended(
                Failure(FailureCode.VALIDATION, f"the result is not JSON: {error}", file=self._program.file)
            )
        return Turn((*self._calls, *self._printed.flush()), ScriptReturned(value_json))

    def _ended(self, failure: Failure) -> Turn:
        return Turn((*self._calls, *self._printed.flush()), ScriptRaised(failure))

    def _failures_of(self, loaded: Loaded) -> Failures:
        return Failures(self._program.file, loaded, _SCRIPT_FRAME, self._settings)


def _prints_nothing(stream: str, text: str) -> None:
    raise AssertionError("the prelude only defines")


def _stand_in(name: str) -> Callable[[str], None]:
    """Stands for the host in the sandbox; calls of it are answered by `_take_call` and never reach this."""

    def host(text: str) -> None:
        raise AssertionError("the sandbox asks, it does not call")

    host.__name__ = name
    return host


_HOSTS = {name: _stand_in(name) for name in (HOST, WAITING_HOST)}
