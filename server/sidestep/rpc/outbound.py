"""
Our requests that the client has not answered yet.

Owns the ids we give, what becomes of an answer, and the `$/cancelRequest` of a question nobody waits for any more.
It must not know the client's ids: those live in `inbound.py`, and the same id may stand in both.

Invariant: a question is settled once: by its first answer, by being withdrawn, or by the end of the connection.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

import msgspec

from sidestep.rpc.envelope import encode_notification, encode_request
from sidestep.rpc.errors import PeerError, PeerGone, PeerInvalid

if TYPE_CHECKING:
    from collections.abc import Callable

    from sidestep.rpc.envelope import RequestId, Response

T = TypeVar("T")

log = logging.getLogger("sidestep.rpc")

# Gets the client's answer, or None when the connection ended without one.
Settle: TypeAlias = "Callable[[Response | None], object]"


class OutboundRequests:
    """The table."""

    def __init__(self, send: Callable[[bytes], object]) -> None:
        self._send = send
        self._waiting: dict[RequestId, Settle] = {}
        self._numbers = itertools.count(1)
        self._is_closed = False

    def __contains__(self, request_id: object) -> bool:
        return request_id in self._waiting

    async def request(self, method: str, params: object, result_type: type[T]) -> T:
        """See `Session.request`."""
        answer: asyncio.Future[Response | None] = asyncio.get_running_loop().create_future()
        request_id = self.ask(method, params, lambda response: None if answer.done() else answer.set_result(response))
        try:
            response = await answer
        except asyncio.CancelledError:
            self.withdraw(request_id)
            raise
        if response is None:
            raise PeerGone
        return read_result(response, result_type)

    def ask(self, method: str, params: object, settle: Settle) -> str:
        """See `Session.ask`."""
        # A string, so that logs tell our ids from the client's.
        request_id = f"sidestep-{next(self._numbers)}"
        body = encode_request(request_id, method, params)
        if self._is_closed:
            settle(None)
        else:
            self._waiting[request_id] = settle
            self._send(body)
        return request_id

    def withdraw(self, request_id: str) -> None:
        """Tell the client that an answer is not wanted any more; nothing happens if it has come."""
        if self._waiting.pop(request_id, None) is not None:
            self._send(encode_notification("$/cancelRequest", {"id": request_id}))

    def settle(self, response: Response) -> None:
        """Hand an answer to whoever waits for it; late, duplicate and unknown ones are logged and ignored."""
        settle = None if response.id is None else self._waiting.pop(response.id, None)
        if settle is None:
            log.info("an answer to nothing we wait for was ignored, id %.100r", response.id)
            return
        settle(response)

    def close(self) -> None:
        """The client is gone: nobody will be answered any more."""
        self._is_closed = True
        waiting, self._waiting = list(self._waiting.values()), {}
        for settle in waiting:
            settle(None)


class _ErrorObject(msgspec.Struct):
    """Read leniently: what other programs call an error object varies."""

    code: int
    message: str = ""
    data: Any = None


def read_result(response: Response, result_type: type[T]) -> T:
    """
    Raises:
        PeerInvalid: the result does not fit `result_type`, the error is no error object, or the answer was skipped.
        PeerError: the client answered with an error.
    """
    if response.skipped_bytes is not None:
        raise PeerInvalid(f"the client's answer of {response.skipped_bytes} bytes is longer than a message may be")
    try:
        if response.error is None:
            return msgspec.json.decode(response.result or b"null", type=result_type)
        error = msgspec.json.decode(response.error, type=_ErrorObject)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as problem:
        raise PeerInvalid(f"the client's answer does not fit: {problem}") from None
    raise PeerError(error.code, error.message, error.data)
