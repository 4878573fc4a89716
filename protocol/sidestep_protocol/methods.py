"""
The one method table: name -> direction, kind, params type, result type.

Owns METHODS (the contract, `workflow/*`) and LSP_METHODS (the few LSP messages that have structs here). Schema,
documents, client and server read the table; nobody repeats it. Decoders are built when first used, so that importing
stays cheap.
"""

from __future__ import annotations

import functools
from enum import Enum
from typing import Any

import msgspec

from sidestep_protocol import capabilities, notifications, tasks, workflow
from sidestep_protocol.payload import Empty


class Direction(Enum):
    """Who sends it."""

    CLIENT_TO_SERVER = "clientToServer"
    SERVER_TO_CLIENT = "serverToClient"
    BOTH = "both"


class Kind(Enum):
    """Whether it is answered."""

    REQUEST = "request"
    NOTIFICATION = "notification"


class Method(msgspec.Struct, frozen=True, kw_only=True):
    """One method of the protocol."""

    name: str
    direction: Direction
    kind: Kind
    params: type[msgspec.Struct]
    # None for notifications, and for requests answered with null.
    result: type[msgspec.Struct] | None = None
    # The answer in background mode, where that is another one.
    background_result: type[msgspec.Struct] | None = None

    @property
    def is_request(self) -> bool:
        """True when exactly one answer follows."""
        return self.kind is Kind.REQUEST

    def decode_params(self, raw: bytes | msgspec.Raw | None) -> Any:
        """
        Decode params; absent (None, empty) and null count as `{}`.

        Returns:
            An instance of `self.params`.

        Raises:
            msgspec.ValidationError: They have the wrong shape; see `validation.invalid_params_data`.
            msgspec.DecodeError, UnicodeDecodeError, RecursionError: They are no JSON after all: a `msgspec.Raw`
                was only skipped over, never read.
        """
        if raw is None or _is_absent(raw):
            return decoder(self.params).decode(b"{}")
        return decoder(self.params).decode(raw)

    def decode_result(self, raw: bytes | msgspec.Raw) -> Any:
        """
        Decode a result: an instance of `result`, or of `background_result` if only that fits.

        Raises:
            msgspec.ValidationError: It fits neither.
        """
        if self.result is None:
            return decoder(Any).decode(raw)
        if self.background_result is None:
            return decoder(self.result).decode(raw)
        try:
            return decoder(self.result).decode(raw)
        except msgspec.ValidationError:
            return decoder(self.background_result).decode(raw)


@functools.cache
def decoder(kind: Any) -> msgspec.json.Decoder[Any]:
    """The JSON decoder for a type, built once, when first asked for."""
    return msgspec.json.Decoder(kind)


def _is_absent(raw: bytes | msgspec.Raw) -> bool:
    """True for nothing and for null; does not copy params that are long."""
    with memoryview(raw) as view:
        return len(view) <= len(b" null ") and bytes(view).strip() in (b"", b"null")


def _request(name: str, params: type[msgspec.Struct], result: type[msgspec.Struct] | None = None) -> Method:
    return Method(name=name, direction=Direction.CLIENT_TO_SERVER, kind=Kind.REQUEST, params=params, result=result)


def _waiting(name: str, params: type[msgspec.Struct]) -> Method:
    return Method(
        name=name,
        direction=Direction.CLIENT_TO_SERVER,
        kind=Kind.REQUEST,
        params=params,
        result=workflow.RunOutcome,
        background_result=workflow.RunStarted,
    )


def _told(name: str, params: type[msgspec.Struct]) -> Method:
    return Method(name=name, direction=Direction.SERVER_TO_CLIENT, kind=Kind.NOTIFICATION, params=params)


def _asked(name: str, params: type[msgspec.Struct], result: type[msgspec.Struct] | None) -> Method:
    return Method(name=name, direction=Direction.SERVER_TO_CLIENT, kind=Kind.REQUEST, params=params, result=result)


def _notice(name: str, params: type[msgspec.Struct], direction: Direction = Direction.CLIENT_TO_SERVER) -> Method:
    return Method(name=name, direction=direction, kind=Kind.NOTIFICATION, params=params)


def _table(*methods: Method) -> dict[str, Method]:
    return {method.name: method for method in methods}


METHODS: dict[str, Method] = _table(
    _waiting("workflow/start", workflow.StartParams),
    _request("workflow/interrupt", workflow.InterruptParams, workflow.InterruptResult),
    _request("workflow/background", workflow.BackgroundParams, workflow.BackgroundResult),
    _waiting("workflow/resume", workflow.ResumeParams),
    _waiting("workflow/retry", workflow.RetryParams),
    _request("workflow/list", workflow.ListParams, workflow.ListResult),
    _request("workflow/get", workflow.GetParams, workflow.GetResult),
    _request("workflow/steps", workflow.StepsParams, workflow.StepsResult),
    _request("workflow/events", workflow.EventsParams, workflow.EventsResult),
    _request("workflow/subscribe", workflow.SubscribeParams, workflow.SubscribeResult),
    _request("workflow/unsubscribe", workflow.UnsubscribeParams, Empty),
    _request("workflow/answer", workflow.AnswerParams, workflow.AnswerResult),
    _request("workflow/scripts", workflow.ScriptsParams, workflow.ScriptsResult),
    _request("workflow/validate", workflow.ValidateParams, workflow.ValidateResult),
    _request("workflow/trust", workflow.TrustParams, Empty),
    _request("workflow/delete", workflow.DeleteParams, Empty),
    _request("workflow/health", Empty, workflow.HealthResult),
    _told("workflow/statusChanged", notifications.StatusChangedNotification),
    _told("workflow/eventsAppended", notifications.EventsAppendedNotification),
    _told("workflow/lagged", notifications.LaggedNotification),
    _told("workflow/deleted", notifications.DeletedNotification),
    _told("workflow/output", notifications.OutputNotification),
    _told("workflow/interactionResolved", notifications.InteractionResolvedNotification),
    _told("workflow/serverStatus", notifications.ServerStatusNotification),
    _asked("workflow/runTask", tasks.RunTaskParams, tasks.RunTaskResult),
    _asked("workflow/interact", tasks.InteractParams, tasks.InteractResult),
    _notice("workflow/taskProgress", tasks.TaskProgressNotification),
)

LSP_METHODS: dict[str, Method] = _table(
    _request("initialize", capabilities.InitializeParams, capabilities.InitializeResult),
    _notice("initialized", Empty),
    _request("shutdown", Empty),
    _notice("exit", Empty),
    _notice("$/cancelRequest", capabilities.CancelParams, Direction.BOTH),
    _notice("$/progress", capabilities.ProgressParams, Direction.BOTH),
    _asked("window/workDoneProgress/create", capabilities.WorkDoneProgressTokenParams, None),
    _notice("window/workDoneProgress/cancel", capabilities.WorkDoneProgressTokenParams),
)


def find_method(name: str) -> Method | None:
    """Look a method up in both tables."""
    return METHODS.get(name) or LSP_METHODS.get(name)
