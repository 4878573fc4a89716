"""
What a finished handler is answered with.

Owns the step from a task's outcome to the bytes of its response, and the incident ids of failures nobody expected.
It must not know Sidestep's own errors: the error map comes in through the constructor.

Invariant: whatever a handler does, there is a response; neither a traceback nor a path is in it.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any

from sidestep.rpc.envelope import encode_error, encode_result
from sidestep.rpc.errors import RpcError, internal_error, wire_error

if TYPE_CHECKING:
    from collections.abc import Callable

    from sidestep.rpc.envelope import RequestId
    from sidestep.rpc.inbound import InFlight
    from sidestep_protocol.errors import ResponseError

log = logging.getLogger("sidestep.rpc")


class Answers:
    """Makes responses."""

    def __init__(
        self, map_error: Callable[[BaseException], ResponseError | None], new_incident_id: Callable[[], str]
    ) -> None:
        """
        Args:
            map_error: A handler's exception as the error to answer; None for one nobody expected.
            new_incident_id: A fresh word for people to quote.
        """
        self._map_error = map_error
        self._new_incident_id = new_incident_id

    def respond(self, request: InFlight, task: asyncio.Task[Any], *, is_closing: bool) -> tuple[bytes, bool]:
        """
        Args:
            task: The request's, done.
            is_closing: Whether a cancelled task may have been cancelled because the session closes.

        Returns:
            The body of the response, and whether it carries a result.
        """
        if task.cancelled():
            return encode_error(request.request_id, self._cancelled(request, is_closing)), False
        failure = task.exception()
        if failure is None:
            try:
                return encode_result(request.request_id, task.result()), True
            except Exception as unserialisable:  # The handler's edge: whatever its result is, it is answered.
                failure = unserialisable
        return encode_error(request.request_id, self._failed(request.method, failure)), False

    def at_once(self, request_id: RequestId, method: str, work: Callable[[], object]) -> bytes | None:
        """Do the work of a request and return the body of its response; None when `work` returns None."""
        try:
            result = work()
            return None if result is None else encode_result(request_id, result)
        except Exception as failure:  # The handler's edge: it is answered.
            return encode_error(request_id, self._failed(method, failure))

    def _cancelled(self, request: InFlight, is_closing: bool) -> ResponseError:
        if request.is_cancelled:
            return wire_error("requestCancelled", "request cancelled")
        if is_closing:
            return draining()
        return self._incident(request.method, asyncio.CancelledError("the handler cancelled itself"))

    def refusal(self, failure: BaseException) -> ResponseError | None:
        """The error that a handler meant by this exception; None for one nobody expected."""
        if isinstance(failure, RpcError):
            return failure.error
        try:
            return self._map_error(failure)
        except Exception:  # The handler's edge: an error map that fails must not cost the answer.
            log.exception("the error map failed")
            return None

    def _failed(self, method: str, failure: BaseException) -> ResponseError:
        return self.refusal(failure) or self._incident(method, failure)

    def _incident(self, method: str, failure: BaseException) -> ResponseError:
        incident_id = self._new_incident_id()
        log.error("incident %s: %s failed", incident_id, method, exc_info=failure)
        return internal_error(incident_id)


def draining() -> ResponseError:
    return wire_error("serverDraining", "the server is shutting down")
