"""
The client's requests that have no response yet.

Owns the table of inbound ids, the count against the limit, and what `$/cancelRequest` does. It must not know our own
requests: their ids live in `outbound.py`, and the same id may stand in both.

Invariant: an id is in the table from the moment its request is read until its response is queued; then it is free.
Invariant: a task is cancelled at most once, because a second cancel would abort the handler's own clean-up.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import msgspec

from sidestep.model.abort import AbortController, AbortKind, AbortReason
from sidestep.rpc.router import Admission

if TYPE_CHECKING:
    import asyncio  # noqa: TC004 -- never decoded
    from collections.abc import Callable, Iterator  # noqa: TC004 -- never decoded

    from sidestep.rpc.envelope import RequestId  # noqa: TC004 -- never decoded


log = logging.getLogger("sidestep.rpc")


class InFlight(msgspec.Struct, eq=False):
    """One request on its way to its response."""

    request_id: RequestId
    method: str
    admission: Admission
    controller: AbortController = msgspec.field(default_factory=AbortController)
    # Set in the same turn of the loop in which the request is read.
    task: asyncio.Task[object] | None = None
    is_cancelled: bool = False
    # True from the moment its response is queued.
    is_answered: bool = False
    # Called right after that.
    after_answer: list[Callable[[], object]] = msgspec.field(default_factory=list["Callable[[], object]"])


class _CancelParams(msgspec.Struct):
    id: int | str


class InboundRequests:
    """The table."""

    def __init__(self) -> None:
        self._in_flight: dict[RequestId, InFlight] = {}
        # Requests in flight that count against the limit; only read elsewhere.
        self.counted = 0

    def __contains__(self, request_id: object) -> bool:
        return request_id in self._in_flight

    def __iter__(self) -> Iterator[InFlight]:
        return iter(list(self._in_flight.values()))

    def open(self, request_id: RequestId, method: str, admission: Admission) -> InFlight:
        assert request_id not in self._in_flight, "Invariant: a duplicate id is refused before"
        request = InFlight(request_id, method, admission)
        self._in_flight[request_id] = request
        self.counted += admission is Admission.COUNTED
        return request

    def close(self, request: InFlight) -> bool:
        """Returns False when the request was answered before."""
        if request.is_answered:
            return False
        request.is_answered = True
        del self._in_flight[request.request_id]
        self.counted -= request.admission is Admission.COUNTED
        return True

    def cancel_named(self, params: msgspec.Raw | None) -> None:
        """`$/cancelRequest`; one without a usable id is ignored."""
        try:
            named = msgspec.json.decode(params or b"{}", type=_CancelParams)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            log.info("a $/cancelRequest without a usable id was ignored")
            return
        self.cancel(named.id)

    def cancel(self, request_id: RequestId) -> None:
        """Withdraw a request. Unknown, answered and already cancelled ids are ignored."""
        request = self._in_flight.get(request_id)
        if request is None or request.is_cancelled:
            return
        request.is_cancelled = True
        request.controller.abort(AbortReason(AbortKind.CANCELLED, by="client", detail="$/cancelRequest"))
        if request.admission is Admission.COUNTED and request.task is not None:
            request.task.cancel()
