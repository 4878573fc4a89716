"""
LSP's lifecycle: which phase a session is in, what each phase refuses, how it ends.

Owns no connection and no task. Source: LSP 3.17, "Server lifecycle".
"""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING

import msgspec

from sidestep.rpc.errors import wire_error

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable  # noqa: TC004 -- never decoded

    from sidestep_protocol.errors import ResponseError

# What LSP lets a server send before its initialize result.
ALLOWED_BEFORE_INITIALIZED = frozenset(
    {"window/showMessage", "window/logMessage", "telemetry/event", "window/showMessageRequest"}
)


def _do_nothing() -> None:
    """The usual `on_ready`."""


# Structs, not dataclasses, here and in the modules the initialize reply needs: making a frozen dataclass takes 1 ms.
class LifecycleHooks(msgspec.Struct, frozen=True):
    """
    What the server does at the lifecycle's messages.

    Attributes:
        on_initialize: Gets the raw params, returns the initialize result. An error leaves the session uninitialized.
        on_initialized: After `initialized`, once.
        on_shutdown: Drains; the answer to `shutdown` waits for it.
        on_ready: Called right after the initialize result was queued; must not wait.
    """

    on_initialize: Callable[[msgspec.Raw | None], Awaitable[object]]
    on_initialized: Callable[[], Awaitable[object]]
    on_shutdown: Callable[[], Awaitable[object]]
    on_ready: Callable[[], object] = _do_nothing


class Phase(enum.Enum):
    """Where a session stands."""

    NEW = "new"  # No initialize yet, or the last one failed.
    INITIALIZING = "initializing"  # Its answer is not queued yet; what comes meanwhile is held back.
    READY = "ready"  # The initialize result is queued.
    SHUT_DOWN = "shutDown"  # `shutdown` was read; only `exit`, answers and cancels count.


class EndCause(enum.Enum):
    """Why a session ended."""

    EXIT = "exit"  # The client sent `exit`.
    EOF = "eof"  # stdin ended.
    BAD_FRAMING = "badFraming"  # Too many unusable headers in a row.
    OUTPUT_BROKEN = "outputBroken"  # stdout cannot be written any more.


class SessionEnd(msgspec.Struct, frozen=True):
    """How a session ended; `exit_code` is what `serve` exits with, unless a signal decides."""

    cause: EndCause
    exit_code: int
    # When the client was heard to leave, on the loop's clock: the time of a drain counts from here.
    heard_s: float


def refuse(phase: Phase, method: str) -> ResponseError | None:
    """What the lifecycle says against a request in this phase, if anything."""
    if phase is Phase.SHUT_DOWN:
        return wire_error("afterShutdown", "the server was shut down")
    if method == "initialize":
        return None if phase is Phase.NEW else wire_error("reinitialize", "initialize was sent before")
    if phase is Phase.NEW:
        return wire_error("notInitialized", "send initialize first")
    return None


def end_of(phase: Phase, cause: EndCause, heard_s: float) -> SessionEnd:
    """0 only for a client that said `shutdown` first; 4 when there was nobody to write to."""
    if cause is EndCause.OUTPUT_BROKEN:
        return SessionEnd(cause, 4, heard_s)
    is_orderly = phase is Phase.SHUT_DOWN and cause in (EndCause.EXIT, EndCause.EOF)
    return SessionEnd(cause, 0 if is_orderly else 1, heard_s)
