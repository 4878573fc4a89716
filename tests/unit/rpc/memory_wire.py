"""A session on an in-memory wire: what tests send goes in as frames, what the session sends is kept as JSON."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import msgspec

from sidestep.model.errors import RequestCancelled, RunNotFound
from sidestep.rpc.admission import SessionLimits
from sidestep.rpc.lifecycle import LifecycleHooks
from sidestep.rpc.router import Admission, NotificationRoute, RequestContext, Route, Router
from sidestep.rpc.session import Session
from sidestep_protocol.errors import ResponseError
from sidestep_protocol.framing import encode_frame

if TYPE_CHECKING:
    from collections.abc import Callable

    from sidestep.rpc.router import Fallback
    from sidestep.rpc.transport import Lane

# A backstop only: nothing below waits for time to pass.
PATIENCE_S = 10


class Typed(msgspec.Struct, rename="camel"):
    """Params with a shape."""

    run_id: str
    limits: list[int] = []


@dataclass
class MemoryWire:
    """
    Attributes:
        sent: Every message the session sent, in order.
        started: Methods of the handlers, in the order they started.
        gate: `test/wait`, `test/hold` and `test/stubborn` go on when it is set.
        cleaning: Called when `test/hold` begins to clean up.
        clean_up: Its clean-up ends when this is set.
        paces: What the reader was asked for.
    """

    fallback: Fallback | None = None
    requests_in_flight_max: int = 8
    hung_up_wait_s: float = PATIENCE_S
    held_bytes_max: int = 1 << 20
    is_congested: bool = False
    sent: list[dict[str, Any]] = field(default_factory=list)
    lanes: list[Lane] = field(default_factory=list)
    started: list[str] = field(default_factory=list)
    told: list[object] = field(default_factory=list)
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    cleaning: Callable[[object], object] = id
    clean_up: asyncio.Event = field(default_factory=asyncio.Event)
    initialize_gate: asyncio.Event | None = None
    shutdown_gate: asyncio.Event | None = None
    paces: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.clean_up.set()
        self._arrived = asyncio.Event()
        self._numbers = iter(range(1_000_000))
        self._incidents = iter(range(1_000_000))
        self.session = Session(
            outbound=self,
            router=Router(self._routes(), [NotificationRoute("test/tell", dict, self._tell)]),
            hooks=LifecycleHooks(self._initialize, self._initialized, self._shutdown),
            fallback=self.fallback,
            map_error=_map_error,
            new_incident_id=lambda: f"incident-{next(self._incidents)}",
            limits=SessionLimits(
                requests_in_flight_max=self.requests_in_flight_max,
                message_bytes_max=1 << 20,
                hung_up_wait_s=self.hung_up_wait_s,
                held_bytes_max=self.held_bytes_max,
            ),
        )
        self.session.paced_by(self)

    # -- The outbound side

    def offer(self, body: bytes, lane: Lane) -> bool:
        self.sent.append(json.loads(body))
        self.lanes.append(lane)
        self._arrived.set()
        return True

    # -- The reader

    def pause(self) -> None:
        self.paces.append("pause")

    def resume(self) -> None:
        self.paces.append("resume")

    # -- The client's side

    def send(self, *messages: dict[str, Any] | bytes) -> None:
        """Everything in one write."""
        self.session.receive(
            b"".join(
                encode_frame(m if isinstance(m, bytes) else json.dumps({"jsonrpc": "2.0", **m}).encode())
                for m in messages
            )
        )

    async def ask(self, method: str, params: Any = None, **more: Any) -> dict[str, Any]:
        """Send a request under a fresh id and await its response."""
        request_id = f"ask-{next(self._numbers)}"
        self.send({"id": request_id, "method": method, "params": params or {}, **more})
        return await self.response(request_id)

    async def response(self, request_id: object) -> dict[str, Any]:
        return await self.message(lambda m: "method" not in m and m["id"] == request_id)

    async def message(self, fits: Any) -> dict[str, Any]:
        async with asyncio.timeout(PATIENCE_S):
            while True:
                self._arrived.clear()
                for message in self.sent:
                    if fits(message):
                        return message
                await self._arrived.wait()

    async def ready(self) -> MemoryWire:
        answer = await self.ask("initialize", {"capabilities": {}})
        assert answer["result"] == {"capabilities": {}}, answer
        self.send({"method": "initialized", "params": {}})
        return self

    async def fence(self) -> None:
        """Everything sent before has been read and every handler that can run has run."""
        await self.ask("test/echo")

    def responses(self, request_id: object) -> list[dict[str, Any]]:
        return [m for m in self.sent if "method" not in m and m["id"] == request_id]

    # -- The server's side

    def _routes(self) -> list[Route[Any]]:
        return [
            Route("test/echo", dict, self._echo, Admission.ALWAYS),
            Route("test/quick", dict, self._echo, at_once=self._echo_at_once),
            Route("test/typed", Typed, self._typed),
            Route("test/hold", dict, self._hold, Admission.COUNTED),
            Route("test/wait", dict, self._wait, Admission.WAITING),
            Route("test/always", dict, self._always, Admission.ALWAYS),
            Route("test/stubborn", dict, self._stubborn, Admission.COUNTED),
            Route("test/fail", dict, self._fail),
            Route("test/unserialisable", dict, self._unserialisable),
            Route("test/notify", dict, self._notify),
        ]

    def _echo_at_once(self, params: dict[str, Any]) -> object:
        if params.get("wait"):
            return None
        if params.get("fail"):
            raise RuntimeError("at once")
        self.started.append("at once")
        return params

    async def _echo(self, params: dict[str, Any], context: RequestContext) -> object:
        self.started.append(f"echo {context.request_id}")
        return params

    async def _typed(self, params: Typed, context: RequestContext) -> object:
        return params

    async def _hold(self, params: dict[str, Any], context: RequestContext) -> object:
        self.started.append(f"hold {context.request_id}")
        try:
            await self.gate.wait()
        finally:
            # Clean-up that awaits: a second cancel would cut it short.
            self.cleaning(context.request_id)
            await self.clean_up.wait()
            self.told.append(f"cleaned {context.request_id}")
        return "held"

    async def _wait(self, params: dict[str, Any], context: RequestContext) -> object:
        self.started.append(f"wait {context.request_id}")
        if context.signal.is_aborted:
            raise RequestCancelled({"runId": None})
        opened = asyncio.ensure_future(self.gate.wait())
        unlisten = context.signal.listen(lambda _: opened.cancel())
        try:
            await opened
        except asyncio.CancelledError:
            reason = context.signal.reason
            assert reason is not None
            raise RequestCancelled({"runId": "run_1", "status": "interrupted", "kind": reason.kind.value}) from None
        finally:
            unlisten()
        return "waited"

    async def _always(self, params: dict[str, Any], context: RequestContext) -> object:
        await self.gate.wait()
        return context.signal.is_aborted

    async def _stubborn(self, params: dict[str, Any], context: RequestContext) -> object:
        while not self.gate.is_set():
            try:
                await self.gate.wait()
            except asyncio.CancelledError:
                self.told.append("ignored")
        return "stubborn"

    async def _fail(self, params: dict[str, Any], context: RequestContext) -> object:
        if params.get("how") == "known":
            raise RunNotFound("run_1")
        if params.get("how") == "map":
            raise KeyError("the error map fails too")
        raise ZeroDivisionError("secret detail in /home/somebody")

    async def _unserialisable(self, params: dict[str, Any], context: RequestContext) -> object:
        return object()

    async def _notify(self, params: dict[str, Any], context: RequestContext) -> object:
        context.notify("test/before", {"n": 1})
        context.after_answer(lambda: context.notify("test/after", {"n": 2}))
        return None

    async def _tell(self, params: dict[str, Any]) -> None:
        self.told.append(params)
        if params.get("fail"):
            raise ZeroDivisionError
        if params.get("refuse"):
            raise RunNotFound("refuse")

    async def _initialize(self, params: msgspec.Raw | None) -> object:
        if self.initialize_gate is not None:
            await self.initialize_gate.wait()
        if params is not None and b"refuse" in bytes(params):
            raise RunNotFound("refuse")
        self.session.notify("test/early", {})
        return {"capabilities": {}}

    async def _initialized(self) -> None:
        self.told.append("initialized")

    async def _shutdown(self) -> None:
        self.told.append("shutdown")
        if self.shutdown_gate is not None:
            await self.shutdown_gate.wait()


def _map_error(error: BaseException) -> ResponseError | None:
    if isinstance(error, KeyError):
        raise AssertionError("the error map itself is broken")
    if isinstance(error, RequestCancelled):
        return ResponseError(code=-32800, message=str(error), data={"reason": error.code, **error.data})
    if isinstance(error, RunNotFound):
        return ResponseError(code=-31002, message=str(error), data={"reason": error.code, **error.data})
    return None
