"""
Every error a caller of Sidestep can meet, one class per decision a caller can take.

    SidestepError
    ├── Refused                      nothing was stored, nothing was started
    │   ├── WorkspaceUntrusted
    │   ├── WorkspaceInvalid
    │   ├── ScriptNotFound
    │   ├── ScriptInvalid
    │   ├── ArgsInvalid
    │   ├── StartKeyConflict
    │   ├── CursorInvalid
    │   ├── Overloaded
    │   └── Draining
    ├── RunNotFound
    ├── InvalidTransition
    ├── RunLeased
    ├── LeaseLost
    ├── ClaimSuperseded
    ├── StepConflict
    ├── InteractionNotPending
    ├── AnswerInvalid
    ├── StoreFault
    │   ├── StoreUnavailable
    │   └── DataDamaged
    └── RequestCancelled

`code` is the stable word hosts switch on (the wire's `data.reason`); JSON-RPC numbers are `lsp/error_map.py`'s.
Nothing branches on message text.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

from sidestep.model.problems import listed, problem_data

if TYPE_CHECKING:
    from sidestep.model.problems import ArgsProblem, ScriptProblem


class SidestepError(Exception):
    """Something Sidestep can name went wrong."""

    code: ClassVar[str] = "internal"
    # True when the same call may succeed later without anybody changing it.
    retryable: ClassVar[bool] = False

    @property
    def data(self) -> dict[str, Any]:
        """What a host gets beside `reason`: JSON values only, camelCase keys."""
        return {}


class Refused(SidestepError):
    """The request was refused before anything was stored."""


@dataclass(eq=False)
class WorkspaceUntrusted(Refused):
    """Nothing runs in a folder that is not trusted."""

    code: ClassVar[str] = "workspaceUntrusted"
    folder: str

    def __str__(self) -> str:
        return (
            f"{self.folder} is not trusted, so nothing may run there. "
            f"Trust it in the editor or with: sidestep trust {self.folder}"
        )

    @property
    def data(self) -> dict[str, Any]:
        return {"folder": self.folder}


@dataclass(eq=False)
class WorkspaceInvalid(Refused):
    """The workspace folder does not exist, is no folder, or is ambiguous."""

    code: ClassVar[str] = "workspaceInvalid"
    folder: str
    why: str
    # Where the folder stood in the request.
    path: str = "$.workspaceFolder"

    def __str__(self) -> str:
        return f"workspace folder {self.folder!r}: {self.why}" if self.folder else self.why

    @property
    def data(self) -> dict[str, Any]:
        return {"path": self.path, "expected": "a folder that exists", "folder": self.folder}


@dataclass(eq=False)
class ScriptNotFound(Refused):
    """No script of that name or path."""

    code: ClassVar[str] = "scriptNotFound"
    name: str
    # Names close to the wanted one, best first.
    near: tuple[str, ...] = ()
    why: str = ""

    def __str__(self) -> str:
        hint = f" Did you mean {' or '.join(repr(name) for name in self.near)}?" if self.near else ""
        return f"no workflow {self.name!r}{f': {self.why}' if self.why else ''}.{hint}"

    @property
    def data(self) -> dict[str, Any]:
        return {"name": self.name, "near": list(self.near)}


@dataclass(eq=False)
class ScriptInvalid(Refused):
    """The script cannot run as it is written."""

    code: ClassVar[str] = "scriptInvalid"
    file: str
    problems: tuple[ScriptProblem, ...]
    # The text the problems were found in, for whoever counts columns in other units.
    source: str = ""

    def __str__(self) -> str:
        lines = [f"{self.file}:{p.line}:{p.column}: {p.message}" for p in self.problems if p.severity == "error"]
        return "\n".join(lines) or f"{self.file}: the script has errors"


@dataclass(eq=False)
class ArgsInvalid(Refused):
    """The arguments do not fit `main`'s signature; every problem is listed."""

    code: ClassVar[str] = "argsInvalid"
    name: str
    problems: tuple[ArgsProblem, ...]

    def __str__(self) -> str:
        return f"arguments of {self.name!r}: {listed(self.problems)}"

    @property
    def data(self) -> dict[str, Any]:
        return problem_data(self.problems)


@dataclass(eq=False)
class StartKeyConflict(Refused):
    """The start key belongs to a run with another script or other arguments."""

    code: ClassVar[str] = "startKeyConflict"
    start_key: str
    run_id: str

    def __str__(self) -> str:
        return f"start key {self.start_key!r} belongs to {self.run_id}, started with another script or arguments"

    @property
    def data(self) -> dict[str, Any]:
        return {"runId": self.run_id}


@dataclass(eq=False)
class Overloaded(Refused):
    """A limit on concurrent work is reached."""

    code: ClassVar[str] = "overloaded"
    retryable: ClassVar[bool] = True
    what: str
    retry_after_ms: int = 1000

    def __str__(self) -> str:
        return f"overloaded: {self.what}"

    @property
    def data(self) -> dict[str, Any]:
        return {"retryAfterMs": self.retry_after_ms}


@dataclass(eq=False)
class Draining(Refused):
    """The server is shutting down and starts nothing any more."""

    code: ClassVar[str] = "serverDraining"
    # What became of the run a waiting request waited for; empty when nothing was started.
    outcome: dict[str, Any] = field(default_factory=dict[str, Any])

    def __str__(self) -> str:
        return "the server is shutting down"

    @property
    def data(self) -> dict[str, Any]:
        return dict(self.outcome)


@dataclass(eq=False)
class CursorInvalid(Refused):
    """The cursor is none that a list of this kind gave."""

    code: ClassVar[str] = "invalidParams"
    cursor: str

    def __str__(self) -> str:
        return f"no list gave the cursor {self.cursor[:80]!r}; begin again without one"

    @property
    def data(self) -> dict[str, Any]:
        return {"path": "$.cursor", "expected": "the nextCursor of an earlier page"}


@dataclass(eq=False)
class RunNotFound(SidestepError):
    """No run of that id is stored."""

    code: ClassVar[str] = "runNotFound"
    run_id: str

    def __str__(self) -> str:
        return f"no run {self.run_id!r}"

    @property
    def data(self) -> dict[str, Any]:
        return {"runId": self.run_id}


@dataclass(eq=False)
class InvalidTransition(SidestepError):
    """The run's status does not allow what was asked."""

    code: ClassVar[str] = "invalidTransition"
    run_id: str
    status: str
    why: str
    # Set when the run is a child and the root has to be asked instead.
    root_run_id: str | None = None

    def __str__(self) -> str:
        return f"{self.run_id} is {self.status}: {self.why}"

    @property
    def data(self) -> dict[str, Any]:
        data = {"runId": self.run_id, "status": self.status}
        return data if self.root_run_id is None else {**data, "rootRunId": self.root_run_id}


@dataclass(eq=False)
class RunLeased(SidestepError):
    """Another process owns the run, or its old execution has not unwound yet."""

    code: ClassVar[str] = "runLeased"
    retryable: ClassVar[bool] = True
    run_id: str
    pid: int
    # When the owner took the run, milliseconds since the epoch.
    since_ms: int
    mine: bool
    # False while an interrupted execution is still unwinding.
    quiescent: bool = False

    def __str__(self) -> str:
        who = "this process" if self.mine else f"process {self.pid}"
        return f"{self.run_id} is owned by {who}"


@dataclass(eq=False)
class LeaseLost(SidestepError):
    """The stored epoch has grown past the claim's; nothing was written."""

    code: ClassVar[str] = "leaseLost"
    run_id: str
    claim_epoch: int

    def __str__(self) -> str:
        return f"{self.run_id}: the claim of epoch {self.claim_epoch} is over; nothing was written"


@dataclass(eq=False)
class ClaimSuperseded(SidestepError):
    """An interrupt or another claim came between the request and its claim; nothing was written."""

    code: ClassVar[str] = "claimSuperseded"
    run_id: str
    expected_epoch: int
    epoch: int

    def __str__(self) -> str:
        return f"{self.run_id}: epoch is {self.epoch}, the claim expected {self.expected_epoch}"


@dataclass(eq=False)
class StepConflict(SidestepError):
    """Another completion is already stored for this step key: a broken promise, never an operating error."""

    code: ClassVar[str] = "internal"
    run_id: str
    step_id: str

    def __str__(self) -> str:
        return f"{self.run_id}: step {self.step_id!r} already has a completion"


@dataclass(eq=False)
class InteractionNotPending(SidestepError):
    """
    There is no such question to answer: it was answered, withdrawn, or never asked.

    Attributes:
        recorded_json: The answer that won, JSON text; None when there is none.
    """

    code: ClassVar[str] = "interactionNotPending"
    interaction_id: str
    recorded_json: str | None = None

    def __str__(self) -> str:
        why = "nobody waits for its answer" if self.recorded_json is None else "it has been answered"
        return f"{self.interaction_id} is no open question: {why}"

    @property
    def data(self) -> dict[str, Any]:
        return {"recorded": None if self.recorded_json is None else json.loads(self.recorded_json)}


@dataclass(eq=False)
class AnswerInvalid(SidestepError):
    """The answer is none of the choices, or does not fit the question's schema; every problem is listed."""

    code: ClassVar[str] = "answerInvalid"
    interaction_id: str
    problems: tuple[ArgsProblem, ...]

    def __str__(self) -> str:
        return f"that does not answer {self.interaction_id}: {listed(self.problems)}"

    @property
    def data(self) -> dict[str, Any]:
        return problem_data(self.problems)


@dataclass(eq=False)
class StoreFault(SidestepError):
    """
    The store does not give what is asked of it.

    Attributes:
        what, todo: What is wrong, and what a person should do about it, one sentence each.
    """

    code: ClassVar[str] = "storeUnavailable"
    what: str
    todo: str

    def __str__(self) -> str:
        return f"{self.what} {self.todo}"

    @property
    def data(self) -> dict[str, Any]:
        return {"what": self.what, "todo": self.todo}


class StoreUnavailable(StoreFault):
    """The store cannot be read or written now."""

    retryable: ClassVar[bool] = True


class DataDamaged(StoreFault):
    """What one run needs of the store is missing or damaged; trying again does not help, other runs are well."""


@dataclass(eq=False)
class RequestCancelled(SidestepError):
    """A waiting request was cancelled; `outcome` says what became of the run."""

    code: ClassVar[str] = "requestCancelled"
    # `{"runId": null}` or `{"runId", "status", ...}` as in the cancellation table.
    outcome: dict[str, Any]

    def __str__(self) -> str:
        return "request cancelled"

    @property
    def data(self) -> dict[str, Any]:
        return dict(self.outcome)
