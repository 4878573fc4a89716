"""
Which handler serves which method, with which type of params and under which admission.

Owns the routes and the one typed decoder per method (made when the method is first used: start-up pays for none).
It must not know what any method does. Invariant: whatever the params are, `decode` returns a value of the route's
type or raises an `RpcError` with code -32602 that says where and what was expected.
"""

from __future__ import annotations

import enum
import logging
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

import msgspec

from sidestep.rpc.errors import RpcError, undecodable_params
from sidestep.rpc.transport import Lane

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable  # noqa: TC004 -- never decoded

    from sidestep.model.abort import AbortSignal  # noqa: TC004 -- never decoded
    from sidestep.rpc.envelope import RequestId  # noqa: TC004 -- never decoded

P = TypeVar("P")
R = TypeVar("R", "Route[Any]", "NotificationRoute[Any]")

log = logging.getLogger("sidestep.rpc")

# Members LSP lets any client add to any params.
STANDARD_FIELDS = frozenset({"workDoneToken", "partialResultToken"})
# Unknown fields are logged once each, up to this many: a client cannot fill our memory with names.
UNKNOWN_FIELDS_LOGGED_MAX = 1000


class Admission(enum.Enum):
    """When a request is let in, and who answers when it is cancelled."""

    # Counted against the limit of requests in flight. A cancel ends its task; the session answers.
    COUNTED = "counted"
    # Waits for a run, so it does not count. A cancel only fires its signal; the handler decides what to answer.
    WAITING = "waiting"
    # Let in whatever the load: what a host needs to get out of an overload. A cancel only fires its signal.
    ALWAYS = "always"


class RequestContext(msgspec.Struct, frozen=True, eq=False):
    """
    What a handler may know about its request.

    Attributes:
        signal: Fires when the client sends `$/cancelRequest` for this request; its reason has kind `cancelled`.
    """

    request_id: RequestId
    method: str
    signal: AbortSignal
    send_notification: Callable[[str, object, Lane], bool]
    answered: list[Callable[[], object]] = msgspec.field(default_factory=list["Callable[[], object]"])

    def notify(self, method: str, params: object, lane: Lane = Lane.MUST) -> bool:
        """Send a notification before the response. Returns False when it was refused (never for `Lane.MUST`)."""
        return self.send_notification(method, params, lane)

    def after_answer(self, callback: Callable[[], object]) -> None:
        """Call `callback` right after the response was queued, before anything else can be sent."""
        self.answered.append(callback)


class Route(msgspec.Struct, Generic[P], frozen=True, eq=False):
    """
    One request method.

    Attributes:
        params_type: What msgspec decodes `params` into; absent and null params are `{}`.
        handler: Returns the result (a struct, JSON builtins or raw JSON); runs in a task of its own.
        is_large: Its answers may be megabytes: few of these handlers run at once, and none while much is unread.
        at_once: Does the same as the handler where nothing has to be waited for, without a task; returns None when
            something has.
    """

    method: str
    params_type: type[P]
    handler: Callable[[P, RequestContext], Awaitable[object]]
    admission: Admission = Admission.COUNTED
    is_large: bool = False
    at_once: Callable[[P], object] | None = None


class NotificationRoute(msgspec.Struct, Generic[P], frozen=True, eq=False):
    """One notification method; its handler runs in a task of its own, started in arrival order with the requests'."""

    method: str
    params_type: type[P]
    handler: Callable[[P], Awaitable[object]]


class Fallback(Protocol):
    """Serves methods that no route names."""

    def serves(self, method: str) -> bool:
        """Whether it takes requests or notifications of this method; cheap, asked for each of them."""
        ...

    async def request(self, method: str, params: msgspec.Raw | None) -> object:
        """Returns the result, as a route's handler does. Cancelled when the client cancels its request."""
        ...

    async def notification(self, method: str, params: msgspec.Raw | None) -> None: ...


class Router:
    """The table of routes."""

    def __init__(self, routes: Iterable[Route[Any]], notifications: Iterable[NotificationRoute[Any]] = ()) -> None:
        """Both are read when the first method is looked up: what they name may be imported only then."""
        self._unread: Iterable[Route[Any]] = routes
        self._unread_notifications: Iterable[NotificationRoute[Any]] = notifications
        self._routes: dict[str, Route[Any]] = {}
        self._notifications: dict[str, NotificationRoute[Any]] = {}
        self._decoders: dict[str, msgspec.json.Decoder[Any]] = {}
        self._unknown_fields: set[tuple[str, str]] = set()

    def find(self, method: str) -> Route[Any] | None:
        if self._unread:
            self._routes, self._unread = _table(self._unread), ()
        return self._routes.get(method)

    def find_notification(self, method: str) -> NotificationRoute[Any] | None:
        if self._unread_notifications:
            self._notifications, self._unread_notifications = _table(self._unread_notifications), ()
        return self._notifications.get(method)

    def decode(self, route: Route[P] | NotificationRoute[P], params: msgspec.Raw | None) -> P:
        """
        Raises:
            RpcError: -32602; `params` does not fit the route's type.
        """
        decoder: msgspec.json.Decoder[P] | None = self._decoders.get(route.method)
        if decoder is None:
            decoder = self._decoders[route.method] = msgspec.json.Decoder(route.params_type)
        decoded = _decode(decoder, params)
        # Their names are read once more for it: not where nobody would see the line.
        if log.isEnabledFor(logging.INFO) and params is not None and isinstance(decoded, msgspec.Struct):
            self._log_unknown_fields(route.method, decoded, params)
        return decoded

    def _log_unknown_fields(self, method: str, decoded: msgspec.Struct, params: msgspec.Raw) -> None:
        if len(self._unknown_fields) >= UNKNOWN_FIELDS_LOGGED_MAX:
            return
        try:
            names = _names.decode(params)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return  # Null, or a name with a lone surrogate.
        for name in names.keys() - STANDARD_FIELDS - set(decoded.__struct_encode_fields__):
            if (method, name) not in self._unknown_fields:
                self._unknown_fields.add((method, name))
                log.info("%s: unknown field %.100r ignored", method, name)


def decode_params(params_type: type[P], params: msgspec.Raw | None) -> P:
    """
    For params that no route decodes (initialize).

    Raises:
        RpcError: -32602; `params` does not fit.
    """
    return _decode(msgspec.json.Decoder(params_type), params)


_names = msgspec.json.Decoder(dict[str, msgspec.Raw])


def _table(routes: Iterable[R]) -> dict[str, R]:
    table: dict[str, R] = {}
    for route in routes:
        assert route.method not in table, f"Invariant: one route for {route.method}"
        table[route.method] = route
    return table


def _decode(decoder: msgspec.json.Decoder[P], params: msgspec.Raw | None) -> P:
    raw: msgspec.Raw | bytes = b"{}" if params is None or bytes(params) == b"null" else params
    try:
        return decoder.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as problem:
        # The envelope only skipped over the params: even now they may turn out to be no JSON.
        raise RpcError(undecodable_params(problem, decoder.type, raw)) from None
