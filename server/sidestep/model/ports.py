"""
What the core needs of the world, as protocols; concrete parts are built in `app.py` alone.

Nothing here knows SQLite, Monty, JSON-RPC or processes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

from sidestep.model.value import Value

if TYPE_CHECKING:
    from asyncio import Future
    from collections.abc import Callable, Collection, Sequence

    from sidestep.model.errors import StoreUnavailable
    from sidestep.model.events import JournalEvent
    from sidestep.model.problems import ArgsProblem
    from sidestep.model.questions import Question
    from sidestep.model.run import RunRecord, RunResult, RunStatus, StepRecord
    from sidestep.model.writes import Append, StepOutput, Write

T = TypeVar("T")


class Clock(Protocol):
    """Time. Tests use a clock that jumps when everything is blocked."""

    def now_ms(self) -> int:
        """Wall clock, milliseconds since the Unix epoch, UTC."""
        ...

    async def sleep_until(self, at_ms: int) -> None:
        """Wait until the wall clock shows `at_ms`; time the machine was asleep counts. May be cancelled."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Wait for a duration. May be cancelled."""
        ...


class IdSource(Protocol):
    """Fresh identifiers."""

    def run_id(self) -> str:
        """`run_` and 16 base32 characters."""
        ...


class Committed(Value, frozen=True):
    """
    One write that is durable: what listeners, memory and replies are derived from.

    Attributes:
        record: The row after the write.
        events: The events it appended, in order; empty when only the row changed (a cleared lease).
        mine: False when another process committed it.
    """

    record: RunRecord
    events: tuple[JournalEvent, ...]
    mine: bool = True


class Deleted(Value, frozen=True):
    """
    A root run that was removed with its whole tree, durably.

    Attributes:
        folder: The key of the folder it was in.
        mine: False when another process removed it.
    """

    run_id: str
    folder: str
    mine: bool = True


class RunFilter(Value, frozen=True):
    """Which runs a list shows; None means any. `active` selects pending, running and backgrounded."""

    folder: str | None = None
    statuses: frozenset[RunStatus] | None = None
    name: str | None = None
    # Part of the name or label, case-insensitive.
    text: str | None = None
    parent_run_id: str | None = None
    created_after_ms: int | None = None
    created_before_ms: int | None = None


class Page(Value, Generic[T], frozen=True):
    """One page of a list; `next_cursor` is opaque text, None at the end."""

    items: Sequence[T]
    next_cursor: str | None


class RunStore(Protocol):
    """
    The durable journal.

    Every method may raise `StoreUnavailable`. Methods that name a run raise `RunNotFound`.
    Commits of one process are told to listeners in commit order, on the event loop, before the awaiting caller goes on.
    """

    def listen(self, listener: Callable[[Committed], None]) -> Callable[[], None]:
        """Call `listener` for every commit, also another process's; returns the function that ends it."""
        ...

    def listen_deleted(self, listener: Callable[[Deleted], None]) -> Callable[[], None]:
        """Call `listener` for every run that is deleted, in order with the commits; as `listen`."""
        ...

    def listen_availability(self, listener: Callable[[StoreUnavailable | None], None]) -> Callable[[], None]:
        """As `listen`: `listener` is called with why when the store stops taking writes, with None when it is back."""
        ...

    async def create(self, record: RunRecord, source: str) -> tuple[RunRecord, bool]:
        """
        Store a new run, `pending` and then `running`, with its source and its lease, in one durable commit.

        A nested run is stored under its root's claim.

        Returns:
            (the running row, True); or (the existing row, False) when the folder and start key are taken, or a nested
            run's id is.

        Raises:
            LeaseLost: a nested run's root is not claimed any more.
        """
        ...

    async def write(self, write: Write) -> RunRecord:
        """Apply one write by the rules of `model/journal.py`; durable on return. Raises what `decide` raises."""
        ...

    def write_lazily(self, write: Append) -> Future[RunRecord]:
        """
        Queue a write that begins no commit of its own: it rides with the next durable write, or goes after 20 ms.

        Order with other writes of this process is kept.

        Returns:
            What became of it, as of `write`; whoever is given it looks at its error.
        """
        ...

    async def store_source(self, source: str) -> str:
        """Store a script's text once, by hash; returns the hash."""
        ...

    async def read(self, run_id: str) -> RunRecord:
        """The run's row as it is now."""
        ...

    async def find_start_key(self, folder: str, start_key: str) -> RunRecord | None:
        """The run that has a start key in a folder, if any."""
        ...

    async def read_source(self, source_hash: str) -> str:
        """The text, verified against its hash."""
        ...

    async def read_steps(
        self, run_id: str, *, step_id: str | None = None, after: str | None = None, limit: int | None = None
    ) -> Page[StepRecord]:
        """Steps in order of their first start. `after` is a cursor of an earlier page; no limit means all."""
        ...

    async def read_output(self, step: StepRecord) -> str:
        """A completed step's output as JSON text, also when it stands in a file."""
        ...

    async def keep_output(self, text: str) -> StepOutput:
        """Put a step's output where it belongs: inline, or in a content-addressed file when it is large."""
        ...

    async def keep_result(self, run_id: str, result: RunResult) -> RunResult:
        """Put a result where it belongs: on the row as it is, or in a file, durably; the answer goes onto the row."""
        ...

    async def read_events(self, run_id: str, *, after_sequence: int, limit: int) -> Sequence[JournalEvent]:
        """The journal after a sequence, in order, at most `limit` events."""
        ...

    async def read_question(self, interaction_id: str) -> Question | None:
        """The question as it is now, None when there is none of that id."""
        ...

    async def open_questions(self, run_id: str) -> Sequence[Question]:
        """The open questions of a run, of a root: of its whole tree; oldest first."""
        ...

    async def list_runs(self, run_filter: RunFilter, *, cursor: str | None, limit: int) -> Page[RunRecord]:
        """Newest first; root runs only unless `parent_run_id` is given. One unreadable run never hides the others."""
        ...

    async def owner_ids(self) -> Sequence[str]:
        """The owners that rows name, of any process, each once."""
        ...

    async def owned_runs(self, owner_ids: Collection[str] | None = None) -> Sequence[RunRecord]:
        """Every run whose row names one of these owners; None for any."""
        ...

    async def delete(self, run_id: str) -> None:
        """
        Remove a stopped, quiescent run with its whole tree, in one transaction.

        Raises:
            InvalidTransition: a run of the tree is active or not quiescent.
        """
        ...

    async def health(self) -> dict[str, Any]:
        """`{"storePath", "storeBytes", "storeId"}`."""
        ...

    def watch(self, busy: bool | None) -> Future[Any]:
        """Look for other processes' commits often (True), seldom (False), or never (None); in force when that ends."""
        ...


class JsonSchemas(Protocol):
    """Judges values by JSON Schemas that authors wrote; offline, in linear time."""

    def why_invalid(self, schema: dict[str, Any]) -> str | None:
        """Why that is no JSON Schema, for its author; None when it is one."""
        ...

    def problems(self, schema: dict[str, Any], value: Any) -> tuple[ArgsProblem, ...]:
        """Every place where a value does not fit a valid schema, at most 20; none when it fits."""
        ...


class OwnerRegistry(Protocol):
    """Which processes live, and the process groups each has started."""

    @property
    def owner_id(self) -> str:
        """This process's id in leases."""
        ...

    def is_alive(self, owner_id: str) -> bool:
        """True while that owner holds its kernel lock; a clock is never asked."""
        ...

    def stop_groups(self, owner_id: str, run_id: str | None = None) -> int:
        """Kill the listed process groups of a dead or stopped owner that still match; returns how many."""
        ...


class GroupLedger(Protocol):
    """Where a process group is written down before its leader may run, and struck out when it is gone."""

    def record(self, run_id: str, group_id: int, started_at: float) -> None:
        """Write a group down: its run, its id, and when its leader started. On return it survives our SIGKILL."""
        ...

    def forget(self, group_id: int) -> None:
        """Strike a group out: none of it is left."""
        ...
