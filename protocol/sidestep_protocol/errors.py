"""
Errors on the wire: the table of reasons and JSON-RPC codes, the error object, and the data some reasons carry.

Owns the numbers. Hosts switch on `data.reason`; the code is for JSON-RPC libraries. The server's error classes carry
the same reasons as their `code`.
"""

from typing import Any, cast

from msgspec import UNSET, UnsetType

from sidestep_protocol.payload import JsonObject, Payload, Timestamp
from sidestep_protocol.runs import Diagnostic, Problem, RunStatus

PARSE_ERROR = -32700
INVALID_REQUEST = -32600
METHOD_NOT_FOUND = -32601
INVALID_PARAMS = -32602
INTERNAL_ERROR = -32603
SERVER_NOT_INITIALIZED = -32002
REQUEST_CANCELLED = -32800
SERVER_CANCELLED = -32802
REQUEST_FAILED = -32803

# Reason (the stable word) to JSON-RPC code: the one table.
ERROR_CODES: dict[str, int] = {
    "parseError": PARSE_ERROR,
    # The three that the frame reader finds; all are answered with id null.
    "badFraming": PARSE_ERROR,
    "payloadTooLarge": INVALID_REQUEST,
    "invalidRequest": INVALID_REQUEST,
    "batch": INVALID_REQUEST,
    "duplicateId": INVALID_REQUEST,
    "afterShutdown": INVALID_REQUEST,
    "reinitialize": INVALID_REQUEST,
    "badId": INVALID_REQUEST,
    "methodNotFound": METHOD_NOT_FOUND,
    "invalidParams": INVALID_PARAMS,
    "workspaceInvalid": INVALID_PARAMS,
    "internal": INTERNAL_ERROR,
    "notInitialized": SERVER_NOT_INITIALIZED,
    "requestCancelled": REQUEST_CANCELLED,
    "serverDraining": SERVER_CANCELLED,
    "requestFailed": REQUEST_FAILED,
    "leaseLost": REQUEST_FAILED,
    "claimSuperseded": REQUEST_FAILED,
    "overloaded": -31001,
    "runNotFound": -31002,
    "invalidTransition": -31003,
    "runLeased": -31004,
    "startKeyConflict": -31005,
    "workspaceUntrusted": -31006,
    "scriptInvalid": -31007,
    "scriptNotFound": -31008,
    "storeUnavailable": -31009,
    "capabilityMissing": -31010,
    "interactionNotPending": -31011,
    "protocolVersionUnsupported": -31012,
    "argsInvalid": -31013,
    "answerInvalid": -31014,
}


class ResponseError(Payload, frozen=True, kw_only=True):
    """JSON-RPC's error object. `data` is an object with at least `reason` in everything Sidestep answers."""

    code: int
    message: str
    data: Any = UNSET

    @property
    def reason(self) -> str:
        """The stable word, or the empty string when a peer sent none."""
        found: Any = self.details.get("reason")
        return found if isinstance(found, str) else ""

    @property
    def details(self) -> JsonObject:
        """`data` as an object, empty when it is none."""
        data: Any = self.data
        return cast("JsonObject", data) if isinstance(data, dict) else {}


class ErrorData(Payload, frozen=True, kw_only=True):
    """What `data` has in every error: the reason. Reasons that carry more have a struct of their own in ERROR_DATA."""

    reason: str


class InvalidParamsData(ErrorData, frozen=True, kw_only=True):
    """`path` leads to the value from `$`, as in `$.script`; `expected` says what should stand there."""

    path: str
    expected: str


class InternalErrorData(ErrorData, frozen=True, kw_only=True):
    """The id under which the server's log has the details; never a traceback or a path."""

    incident_id: str


class CancelledData(ErrorData, frozen=True, kw_only=True):
    """What became of the run a cancelled or drained request waited for; `runId` is null when none was stored."""

    run_id: str | None
    status: RunStatus | UnsetType = UNSET
    resumable: bool | UnsetType = UNSET
    sequence: int | UnsetType = UNSET
    quiescent: bool | UnsetType = UNSET
    # Only this request stopped waiting: another waits for the run, or another process owns it.
    detached: bool | UnsetType = UNSET


class OverloadedData(ErrorData, frozen=True, kw_only=True):
    """When to try again."""

    retry_after_ms: int


class RunNotFoundData(ErrorData, frozen=True, kw_only=True):
    """The id that is not there."""

    run_id: str


class InvalidTransitionData(ErrorData, frozen=True, kw_only=True):
    """Where the run stands; for a child, the root to ask instead."""

    run_id: str | UnsetType = UNSET
    status: RunStatus | UnsetType = UNSET
    root_run_id: str | UnsetType = UNSET


class RunLeasedData(ErrorData, frozen=True, kw_only=True):
    """Who owns the run, and whether its old execution has unwound."""

    pid: int
    since: Timestamp
    mine: bool
    quiescent: bool


class ScriptInvalidData(ErrorData, frozen=True, kw_only=True):
    """Everything wrong with the script."""

    diagnostics: list[Diagnostic]


class ScriptNotFoundData(ErrorData, frozen=True, kw_only=True):
    """Names close to the wanted one, best first."""

    near: list[str]


class StoreUnavailableData(ErrorData, frozen=True, kw_only=True):
    """What is wrong, and what a person should do."""

    what: str
    todo: str


class InteractionNotPendingData(ErrorData, frozen=True, kw_only=True):
    """The answer that won, null when there is none: the question was withdrawn, or never asked."""

    recorded: Any


class ArgsInvalidData(ErrorData, frozen=True, kw_only=True):
    """Every argument that does not fit, with its path."""

    problems: list[Problem]


class AnswerInvalidData(ErrorData, frozen=True, kw_only=True):
    """Everything in the answer that does not fit the question, with its path."""

    problems: list[Problem]


# Reason to the struct of its `data`; the other reasons carry ErrorData alone.
ERROR_DATA: dict[str, type[ErrorData]] = {
    "invalidParams": InvalidParamsData,
    "workspaceInvalid": InvalidParamsData,
    "internal": InternalErrorData,
    "requestCancelled": CancelledData,
    "overloaded": OverloadedData,
    "runNotFound": RunNotFoundData,
    "invalidTransition": InvalidTransitionData,
    "runLeased": RunLeasedData,
    "scriptInvalid": ScriptInvalidData,
    "scriptNotFound": ScriptNotFoundData,
    "storeUnavailable": StoreUnavailableData,
    "interactionNotPending": InteractionNotPendingData,
    "argsInvalid": ArgsInvalidData,
    "answerInvalid": AnswerInvalidData,
}
