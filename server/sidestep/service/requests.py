"""What callers ask of the service and what it answers, in the model's words; the wire's structs are not known here."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from msgspec import field

from sidestep.model.run import Attention
from sidestep.model.value import Value

if TYPE_CHECKING:
    from sidestep.model.run import RunRecord
    from sidestep.scripts.folder import FolderKey
    from sidestep.scripts.resolver import ScriptReference


OnRun = Callable[[str, "RunRecord | None"], Callable[[], None]]


def _nobody(_: str, __: RunRecord | None) -> Callable[[], None]:
    return lambda: None


class WaitRequest(Value, frozen=True):
    """
    What every request that may wait for a run has in common.

    Attributes:
        attention: Blocking when the caller waits; otherwise the call returns after the durable create or claim.
        deadline_s: Interrupt the run (deadline) this many seconds after it was created or claimed; None for no limit.
        request_id: The caller's id for its request, echoed in the run's first notification.
        on_run: Called with the run's id before the commit that makes it the caller's, so that this can be followed; and
            with the run's row instead of None when it is active already, and the caller only joins those who wait;
            answers the function that undoes this, for a run that did not become the caller's after all.
    """

    attention: Attention = Attention.BLOCKING
    deadline_s: float | None = None
    request_id: int | str | None = None
    on_run: OnRun = field(default=_nobody)


class StartRequest(WaitRequest, frozen=True, kw_only=True):
    """Start a script in a folder with arguments."""

    script: ScriptReference
    args: dict[str, Any]
    folder: FolderKey
    # The folder as the client wrote it, to be echoed; None for the key's own URI.
    folder_uri: str | None = None
    start_key: str | None = None
    label: str | None = None
    auto_resume: bool = True


class ResumeRequest(WaitRequest, frozen=True, kw_only=True):
    """
    Go on with an interrupted run.

    Attributes:
        automatic_from: Nobody asked for it: the epoch of the row that was found interrupted. The claim is a
            compare-and-set on it, so what anybody did to the run since then wins (C3). None for a resume asked for.
    """

    run_id: str
    automatic_from: int | None = None


class RetryRequest(WaitRequest, frozen=True, kw_only=True):
    """Do a failed run's failed steps again; with `current_source`, read the script again first."""

    run_id: str
    current_source: bool = False


class Started(Value, frozen=True):
    """A start's answer: the row, and whether this request created the run (False: its start key was known)."""

    record: RunRecord
    created: bool


class Interrupted(Value, frozen=True):
    """
    An interrupt's answer, derived from the row after it.

    Attributes:
        already_terminal: The run had completed or failed; nothing was changed.
        quiescent: Nothing of the old execution is left.
    """

    record: RunRecord
    already_terminal: bool
    quiescent: bool


class AnswerGiven(Value, frozen=True):
    """Whether an answer was the first, and the one that is recorded."""

    accepted: bool
    recorded: Any
