"""
What one execution exchanges with its sandbox and its executors, and the ports of both.

Concrete sandboxes and executors are built in `app.py` alone; nothing here knows Monty, JSON-RPC or processes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from sidestep.model.value import Value

if TYPE_CHECKING:
    from asyncio import Semaphore
    from collections.abc import Awaitable, Callable, Sequence
    from contextlib import AbstractAsyncContextManager

    from sidestep.model.abort import AbortSignal
    from sidestep.model.run import Failure, RunRecord
    from sidestep.model.usage import Usage


class WorkTime(Protocol):
    """How long a step has worked; it does not while it waits for a person."""

    async def until(self, seconds: float) -> None:
        """Wait until it has worked that long. May be cancelled."""
        ...

    def for_person(self) -> AbstractAsyncContextManager[None]:
        """Around waiting for a person: the time stands, and the step's places are others'. Raises Aborted."""
        ...


class StepRequest(Value, frozen=True):
    """
    One step's work, for an executor.

    Attributes:
        input: What was hashed into the key, plus nothing: JSON values only.
        folder: The run's workspace folder, an absolute path.
        timeout_s: The step's own limit; enforced by the engine, told to executors for their information.
        require_claim: Looks whether the run is still ours to work for; raises Aborted when it is not. To be awaited
            when what the step starts is written down and before it may begin: a process that was stopped and taken
            over begins nothing when it wakes (F3), and what it began before was seen by whoever took over (F4).
        emit: Takes what the work prints while it goes on: the stream's name ("stdout", "stderr") and bytes. For people
            who watch; never stored, never waited for.
    """

    run_id: str
    step_id: str
    key: str
    kind: str
    input: dict[str, Any]
    folder: str
    attempt: int
    require_claim: Callable[[], Awaitable[None]]
    emit: Callable[[str, bytes], None]
    # From when the step has its places; None before.
    time: WorkTime | None = None
    title: str | None = None
    timeout_s: float | None = None
    # Of agents: how long they may report what they have after `timeout_s`, and what they are told then.
    grace_s: float = 0.0
    final_instructions: str | None = None
    # An earlier execution may have handed this very task to somebody, in this session of the agent's own.
    redelivery: bool = False
    session: str | None = None

    @property
    def limit_s(self) -> float | None:
        """The hard limit: what the engine stops it at; None is no limit."""
        return None if self.timeout_s is None else self.timeout_s + self.grace_s


class StepSucceeded(Value, frozen=True):
    """The work is done; `output` is what the script gets, JSON values only."""

    output: Any
    usage: Usage | None = None


class StepFailed(Value, frozen=True):
    """The work failed for good; a retry does it again."""

    failure: Failure
    usage: Usage | None = None


StepOutcome = StepSucceeded | StepFailed


class OutputSink(Protocol):
    """Where the output of steps goes while they run."""

    def emit(self, run_id: str, step_id: str, stream: str, data: bytes) -> None:
        """Hand on what a step's work printed; does not block."""
        ...


class StepExecutor(Protocol):
    """Carries out steps of one kind."""

    def places(self, step_input: dict[str, Any], folder: str) -> Sequence[Semaphore]:
        """What bounds how many such steps are done at once, over all runs; the engine takes one place of each."""
        ...

    def check(self, step_input: dict[str, Any], folder: str) -> str | None:
        """Why this input can never work (for the script's author), or None; called before anything is journaled."""
        ...

    async def execute(self, request: StepRequest, signal: AbortSignal) -> StepOutcome:
        """
        Do the work and report once.

        Raises:
            Aborted: the signal fired and everything the work started is gone.
        """
        ...


class Call(Value, frozen=True):
    """
    One primitive the script called, in call order.

    Attributes:
        call_id: The sandbox's number for an awaited call; None for one that needs no answer (phase, log, print, abort).
        name: The primitive.
        payload: Its arguments, decoded from JSON.
        line: Line in the author's file, 1-based, where known.
        scopes: The `parallel` scopes the call stands in, outermost first.
    """

    call_id: int | None
    name: str
    payload: dict[str, Any]
    line: int | None = None
    scopes: tuple[int, ...] = ()


class ScriptReturned(Value, frozen=True):
    """`main` returned: the canonical form of its value, JSON text."""

    value_json: str


class ScriptRaised(Value, frozen=True):
    """`main` raised, returned something that is not JSON, or hit a limit of the sandbox."""

    failure: Failure


class Turn(Value, frozen=True):
    """What happened until every coroutine of the script was blocked, or the script ended."""

    calls: tuple[Call, ...] = ()
    ended: ScriptReturned | ScriptRaised | None = None


class Settled(Value, frozen=True):
    """The answer to one awaited call: a value as JSON text, or an error the script sees raised."""

    call_id: int
    value_json: str | None = None
    error: Failure | None = None


class Program(Value, frozen=True):
    """A script as the sandbox runs it: its display name, its file for messages, its source and `main`'s arguments."""

    name: str
    file: str
    source: str
    args_json: str


class ChildScript(Value, frozen=True):
    """
    A script that was read and checked for a nested run, with the arguments it is given.

    Attributes:
        file: What it is called in messages; None for a script without one.
        script_ref: Leads to the script again, as `RunRecord.script_ref`.
    """

    name: str
    file: str | None
    source: str
    source_hash: str
    args_json: str
    args_schema_json: str
    script_ref: str


class ChildScripts(Protocol):
    """Finds the scripts of nested runs, by the rules a start follows: trust, checks, arguments."""

    async def resolve(self, name_or_path: str, args: dict[str, Any], folder: str) -> ChildScript:
        """
        The script a `workflow` step means.

        Args:
            name_or_path: A name as in lists, or a path below the workspace folder.
            folder: The parent's folder, a key.

        Raises:
            WorkspaceUntrusted, ScriptNotFound, ScriptInvalid, ArgsInvalid.
        """
        ...

    async def resolve_again(self, record: RunRecord) -> ChildScript:
        """The script of a nested run as it stands now, for a retry with the current source. Raises as `resolve`."""
        ...


class KnownAnswer(Protocol):
    """The answer to what a turn ended with, from the journal alone; None when there is more to it."""

    def __call__(self, turn: Turn) -> Settled | None: ...


class SandboxSession(Protocol):
    """One execution of one script in a worker of its own."""

    async def start(self) -> Turn:
        """Run the script until it blocks or ends."""
        ...

    async def settle(self, settled: Settled) -> Turn:
        """Deliver exactly one completion and run until the script blocks or ends."""
        ...

    def kill(self) -> None:
        """Kill the worker at once; a turn in flight, and any later one, ends with nothing in it. Idempotent."""
        ...

    async def close(self) -> None:
        """Kill the worker and wait until it is gone. Idempotent."""
        ...


class Sandbox(Protocol):
    """Makes sessions."""

    async def open(self, program: Program, known: KnownAnswer | None = None) -> SandboxSession:
        """
        Make a session.

        Args:
            known: A session may ask it about a turn, in whatever thread that runs, and go on with the answer instead of
                reporting the turn.
        """
        ...
