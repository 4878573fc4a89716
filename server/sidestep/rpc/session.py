"""
The conversation with one client: who may speak when, and that every request gets exactly one answer.

Owns the phase of the session and decides what each message means in it. It reads through an `Intake`, which never
waits, and writes through an `Outbound`, which never blocks. It knows no method but those of LSP's lifecycle.

Invariant: a request's id is in the table before anything else is read, so no cancel precedes its request.
Invariant: handlers start in arrival order and then run on their own, so a slow one delays nothing.
Invariant: before the initialize result nothing is sent but answers and what LSP allows.
"""

from __future__ import annotations

import asyncio
import logging
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from sidestep.rpc.admission import Gate
from sidestep.rpc.answers import Answers, draining
from sidestep.rpc.envelope import (
    Malformed,
    Notification,
    Request,
    Response,
    encode_error,
    encode_notification,
)
from sidestep.rpc.errors import method_not_found, wire_error
from sidestep.rpc.handlers import Handlers
from sidestep.rpc.inbound import InboundRequests
from sidestep.rpc.intake import Intake
from sidestep.rpc.lifecycle import ALLOWED_BEFORE_INITIALIZED, EndCause, Phase, end_of, refuse
from sidestep.rpc.outbound import OutboundRequests
from sidestep.rpc.router import Admission
from sidestep.rpc.transport import Lane

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from sidestep.rpc.admission import SessionLimits
    from sidestep.rpc.envelope import Message, RequestId
    from sidestep.rpc.intake import Pace
    from sidestep.rpc.lifecycle import LifecycleHooks, SessionEnd
    from sidestep.rpc.outbound import Settle
    from sidestep.rpc.router import Fallback, RequestContext, Route, Router
    from sidestep.rpc.transport import Outbound
    from sidestep_protocol.errors import ResponseError

T = TypeVar("T")

log = logging.getLogger("sidestep.rpc")


class Session:
    """One client's session. Everything happens on the event loop's thread, except `notify`."""

    def __init__(
        self,
        *,
        outbound: Outbound,
        router: Router,
        hooks: LifecycleHooks,
        fallback: Fallback | None,
        map_error: Callable[[BaseException], ResponseError | None],
        new_incident_id: Callable[[], str],
        limits: SessionLimits,
        heard: Callable[[Message], object] | None = None,
        has_room: Callable[[], Awaitable[None]] | None = None,
        together: Callable[[Callable[[Any], object], Any], object] | None = None,
    ) -> None:
        """
        Args:
            fallback: Serves what `router` does not name; None for nobody.
            map_error: A handler's exception as the error to answer; None for one nobody expected, which is logged
                with its traceback and answered -32603 with an incident id.
            new_incident_id: A fresh word for people to quote.
            heard: Told each message as it is read, before it is served; None for nobody.
            has_room: Waits until the client has read most of what is queued for it; None: large answers never wait.
            together: See `Intake`.
        """
        self._outbound = outbound
        self._router = router
        self._hooks = hooks
        self._fallback = fallback
        self._hung_up_wait_s = limits.hung_up_wait_s
        self._intake = Intake(
            limits,
            deliver=self._dispatch,
            complain=partial(self._send_error, None),
            left=self._client_left,
            heard=heard,
            together=together,
        )
        self._phase = Phase.NEW
        self._was_told_initialized = False
        self._inbound = InboundRequests()
        self._gate = Gate(limits, self._inbound, outbound, has_room)
        self._questions = OutboundRequests(self._send)
        self._handlers = Handlers(
            inbound=self._inbound,
            answers=Answers(map_error, new_incident_id),
            send=self._send,
            notify=self.notify,
        )
        self._end: SessionEnd | None = None
        # When the client left that was waiting for its initialize result: the loop's time.
        self._left_s: float | None = None
        self._ended = asyncio.Event()
        self._is_closing = False

    # -- The connection

    @property
    def requests_in_flight(self) -> int:
        """Counted requests without an answer."""
        return self._inbound.counted

    def paced_by(self, pace: Pace) -> None:
        """Tell who reads the client: it is asked to pause while more has come than can be held back."""
        self._intake.paced_by(pace)

    def receive(self, data: bytes) -> None:
        """Take the next bytes from the client. Never waits, never raises; after the end it ignores them."""
        self._intake.receive(data)

    def receive_end(self) -> None:
        """Take note that stdin ended."""
        self._intake.receive_end()

    def end(self, cause: EndCause) -> None:
        """End the session; the first cause wins. Handlers go on until `aclose`; our own requests fail: `PeerGone`."""
        if self._end is None:
            heard_s = asyncio.get_running_loop().time() if self._left_s is None else self._left_s
            self._end = end_of(self._phase, cause, heard_s)
            self._intake.close()
            self._ended.set()
            self._questions.close()

    async def wait_ended(self) -> SessionEnd:
        """Wait until the client, or a broken connection, ends the session. May be cancelled."""
        await self._ended.wait()
        assert self._end is not None, "Invariant: the end is stored before it is told"
        return self._end

    async def aclose(self, within_s: float) -> None:
        """
        Await the handlers in flight, then cancel those that are left, and see every request answered.

        Args:
            within_s: How long they may take, in seconds; and as long again to clean up after the cancel.
        """
        self._is_closing = True
        self._questions.close()
        await self._handlers.aclose(within_s)

    # -- Our side

    def notify(self, method: str, params: object, lane: Lane = Lane.MUST) -> bool:
        """
        Send a notification. May be called from any thread.

        Returns:
            False when it was not sent: the lane is full, or the initialize result is not out yet.

        Raises:
            TypeError, ValueError: `params` is not JSON.
        """
        if self._phase in (Phase.NEW, Phase.INITIALIZING) and method not in ALLOWED_BEFORE_INITIALIZED:
            return False
        return self._outbound.offer(encode_notification(method, params), lane)

    async def request(self, method: str, params: object, result_type: type[T]) -> T:
        """
        Ask the client. May be cancelled: the client is then sent `$/cancelRequest`, and its answer ignored.

        Raises:
            PeerError: the client answered with an error.
            PeerInvalid: its result is no `result_type`.
            PeerGone: the connection ended first.
            TypeError, ValueError: `params` is not JSON.
        """
        return await self._questions.request(method, params, result_type)

    def ask(self, method: str, params: object, settle: Settle) -> str:
        """
        Send a request and have `settle` called once with the raw answer, or with None when the client is gone.

        Returns:
            Its id, for `withdraw`.
        """
        return self._questions.ask(method, params, settle)

    def withdraw(self, request_id: str) -> None:
        """Tell the client that an answer is not wanted any more; nothing happens if it has come."""
        self._questions.withdraw(request_id)

    # -- Reading

    def _client_left(self, cause: EndCause) -> None:
        """It is still served in order, but a store that does not open must not keep a process that nobody needs."""
        if self._left_s is None:
            loop = asyncio.get_running_loop()
            self._left_s = loop.time()
            loop.call_later(self._hung_up_wait_s, self.end, cause)

    def _dispatch(self, message: Message | EndCause) -> None:
        match message:
            case Request():
                self._receive_request(message)
            case Notification():
                self._receive_notification(message)
            case Response():
                self._receive_response(message)
            case Malformed():
                self._receive_malformed(message)
            case EndCause():
                self.end(message)

    def _receive_request(self, request: Request) -> None:
        if request.id in self._inbound:
            # Answering under that id would take the first request's answer away from it.
            error = wire_error("duplicateId", "a request with this id is in flight", id=request.id)
            self._send_error(None, error)
            return
        is_ending = self._is_closing or self._end is not None
        refusal = refuse(self._phase, request.method) or (draining() if is_ending else None)
        if refusal is not None:
            self._send_error(request.id, refusal)
        elif request.method == "initialize":
            self._initialize(request)
        elif request.method == "shutdown":
            self._phase = Phase.SHUT_DOWN
            self._serve(request, Admission.ALWAYS, lambda _: self._hooks.on_shutdown())
        else:
            self._route_request(request)

    def _route_request(self, request: Request) -> None:
        route = self._router.find(request.method)
        if route is not None:
            self._serve_route(request, route)
            return
        fallback = self._fallback
        if fallback is None or not fallback.serves(request.method):
            self._send_error(request.id, method_not_found(request.method))
            return
        self._admit(request, Admission.COUNTED, lambda _: fallback.request(request.method, request.params))

    def _serve_route(self, request: Request, route: Route[Any]) -> None:
        at_once = route.at_once
        if at_once is not None and self._gate.refuse(route.admission) is None:
            work = partial(_at_once, self._router, route, at_once, request.params)
            if self._handlers.answer_at_once(request.id, request.method, work):
                return

        async def handle(context: RequestContext) -> object:
            params = self._router.decode(route, request.params)
            if route.is_large:
                await self._gate.turn(context)
            return await route.handler(params, context)

        self._admit(request, route.admission, handle)

    def _admit(
        self, request: Request, admission: Admission, handle: Callable[[RequestContext], Awaitable[object]]
    ) -> None:
        refusal = self._gate.refuse(admission)
        if refusal is not None:
            self._send_error(request.id, refusal)
        else:
            self._serve(request, admission, handle)

    def _receive_notification(self, notification: Notification) -> None:
        method, params = notification.method, notification.params
        if method == "exit":
            self.end(EndCause.EXIT)
        elif method == "$/cancelRequest":
            self._inbound.cancel_named(params)
        elif self._phase is not Phase.READY:
            log.info("%.100s ignored: it came before initialize or after shutdown", method)
        elif method == "initialized":
            if not self._was_told_initialized:
                self._was_told_initialized = True
                self._handlers.spawn(method, self._hooks.on_initialized)
        else:
            self._tell_listeners(method, params)

    def _tell_listeners(self, method: str, params: msgspec.Raw | None) -> None:
        """A notification may interest both us and the fallback (workspace folders do); unknown ones are ignored."""
        route = self._router.find_notification(method)
        if route is not None:

            async def handle() -> None:
                await route.handler(self._router.decode(route, params))

            self._handlers.spawn(method, handle)
        fallback = self._fallback
        if fallback is not None and fallback.serves(method):
            self._handlers.spawn(method, lambda: fallback.notification(method, params))

    def _receive_response(self, response: Response) -> None:
        is_answer = response.result is not None or response.error is not None or response.skipped_bytes is not None
        if response.id in self._questions or is_answer:
            self._questions.settle(response)
        else:
            error = wire_error("invalidRequest", "a message needs a method, a result or an error")
            self._receive_malformed(Malformed(response.id, error))

    def _receive_malformed(self, message: Malformed) -> None:
        if message.id in self._questions:
            # An answer that cannot be read; our request must not wait for ever. 0 is no error object.
            self._questions.settle(Response(message.id, None, msgspec.Raw(b"0")))
            return
        # A request in flight keeps its id for its own answer.
        self._send_error(None if message.id in self._inbound else message.id, message.error)

    def _serve(
        self, request: Request, admission: Admission, handle: Callable[[RequestContext], Awaitable[object]]
    ) -> None:
        self._handlers.start(self._inbound.open(request.id, request.method, admission), handle)

    def _initialize(self, request: Request) -> None:
        self._phase = Phase.INITIALIZING
        self._intake.hold()

        def finished(succeeded: bool) -> None:
            self._phase = Phase.READY if succeeded else Phase.NEW

        def answered() -> None:
            if self._phase is Phase.READY:
                self._hooks.on_ready()
            self._intake.release()

        in_flight = self._inbound.open(request.id, request.method, Admission.ALWAYS)
        in_flight.after_answer.append(answered)
        self._handlers.start(in_flight, lambda _: self._hooks.on_initialize(request.params), finished)

    def _send_error(self, request_id: RequestId | None, error: ResponseError) -> None:
        self._send(encode_error(request_id, error))

    def _send(self, body: bytes) -> None:
        self._outbound.offer(body, Lane.MUST)


def _at_once(router: Router, route: Route[Any], serve: Callable[[Any], object], params: msgspec.Raw | None) -> object:
    return serve(router.decode(route, params))
