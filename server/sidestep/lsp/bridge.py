"""
LSP's standard document methods, served by pygls behind our own wire.

Owns when pygls is loaded (at the first document message, or when told to warm up: never before the initialize reply),
the order in which it is fed, and the mapping between its ids and the session's. It must not know workflows.

Invariant: every request is answered exactly once, also where stock pygls would stay silent.
Invariant: pygls sees messages in the order the client sent them, also those that came while it was being loaded.
Invariant: pygls is never fed `shutdown`, `exit` or an unknown method: those are the session's.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections import deque
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, cast

from msgspec import Raw, Struct

from sidestep.rpc.envelope import Notification, Request, Response
from sidestep.rpc.errors import RpcError, invalid_params
from sidestep.rpc.transport import Lane
from sidestep_protocol.errors import INTERNAL_ERROR, InvalidParamsData, ResponseError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from sidestep.lsp.pygls_server import PyglsServer
    from sidestep.rpc.outbound import Settle

log = logging.getLogger("sidestep.lsp")

# Gets lsprotocol's params, returns lsprotocol's result or plain JSON. May raise `RpcError`.
Feature: TypeAlias = "Callable[[Any], Awaitable[object]]"

# What pygls serves without any feature of ours. Its lifecycle methods, `$/setTrace`, progress cancels and commands are
# left out: the session or a route serves those. A test compares this with pygls' own list.
DOCUMENT_METHODS = frozenset(
    {
        "notebookDocument/didChange",
        "notebookDocument/didClose",
        "notebookDocument/didOpen",
        "textDocument/didChange",
        "textDocument/didClose",
        "textDocument/didOpen",
        "workspace/didChangeWorkspaceFolders",
    }
)


class LanguageFailure(Exception):
    """A language feature failed, or what it returned cannot be sent."""


class Peer(Protocol):
    """What the bridge needs of the session."""

    def notify(self, method: str, params: object, lane: Lane = Lane.MUST) -> bool: ...

    def ask(self, method: str, params: object, settle: Settle) -> str: ...


class _Queued(Struct, frozen=True, eq=False):
    """One message of the client's for pygls."""

    method: str
    params: Raw | None
    # Our id for it; None for a notification.
    number: int | None


class PyglsBridge:
    """The session's fallback. Lives on the event loop's thread; only the loading happens in another."""

    def __init__(self, *, name: str, version: str) -> None:
        """
        Args:
            name: Of the server, as pygls would introduce it.
            version: Of the server.
        """
        self._name = name
        self._version = version
        self._peer: Peer | None = None
        self._initialize_params: Raw | None = None
        self._position_encoding = "utf-16"
        self._features: dict[str, Feature] = {}
        self._late_methods: frozenset[str] = frozenset()
        self._build_late: Callable[[PyglsServer], Mapping[str, Feature]] | None = None
        self._server: PyglsServer | None = None
        self._loading: asyncio.Task[None] | None = None
        # Set when loading failed: an installation does not mend itself while we run.
        self._load_failure: LanguageFailure | None = None
        self._queue: deque[_Queued] = deque()
        self._numbers = itertools.count(1)
        self._answers: dict[int, asyncio.Future[object]] = {}
        self._loop: asyncio.AbstractEventLoop | None = None

    # -- Wiring

    def connect(self, peer: Peer) -> None:
        """Tell where pygls' own notifications and requests go."""
        self._peer = peer

    def initialize(self, params: Raw | None, position_encoding: str = "utf-16") -> None:
        """
        Keep the client's initialize params for pygls; its workspace is made from them.

        Args:
            position_encoding: What the initialize reply names; pygls has to count alike.
        """
        self._initialize_params = params
        self._position_encoding = position_encoding

    def feature(self, method: str, handler: Feature) -> None:
        """Serve a standard method, or hear a standard notification after pygls has taken it in."""
        assert method not in self._features, f"Invariant: one feature for {method}"
        self._features[method] = handler
        if self._server is not None:
            self._server.add_feature(method, handler)

    def late_features(self, methods: frozenset[str], build: Callable[[PyglsServer], Mapping[str, Feature]]) -> None:
        """
        Serve these methods by features that are imported and built with pygls, in its thread.

        Args:
            build: Its features may hear notifications besides.
        """
        assert self._loading is None, "Invariant: what is served is known before the first document"
        self._late_methods, self._build_late = methods, build

    @property
    def is_loaded(self) -> bool:
        return self._server is not None

    async def warm_up(self) -> None:
        """Load pygls now, in a thread. A failure is logged, and told to whoever needs pygls."""
        await asyncio.shield(self._load())

    async def aclose(self) -> None:
        """Wait for the thread that loads pygls, if any, and let pygls go."""
        if self._loading is not None:
            await asyncio.wait({self._loading})
        if self._server is not None:
            self._server.shutdown()

    async def document_text(self, uri: str) -> str | None:
        """The text of a document the client has open, with its unsaved changes; None when it is not open."""
        if self._loading is not None:
            await asyncio.shield(self._loading)
        return None if self._server is None else self._server.text_of(uri)

    # -- The session's fallback

    def serves(self, method: str) -> bool:
        return method in DOCUMENT_METHODS or method in self._features or method in self._late_methods

    async def request(self, method: str, params: Raw | None) -> object:
        """
        Raises:
            RpcError: the answer is an error.
            LanguageFailure: the feature failed.
        """
        number = next(self._numbers)
        answer = self._answers[number] = asyncio.get_running_loop().create_future()
        message = _Queued(method, params, number)
        try:
            self._enqueue(message)
            return await answer
        except asyncio.CancelledError:
            if message in self._queue:
                self._queue.remove(message)
            elif self._server is not None:
                self._server.feed("$/cancelRequest", {"id": number})
            raise
        finally:
            self._answers.pop(number, None)

    async def notification(self, method: str, params: Raw | None) -> None:
        """Raises: RpcError: the params are not what LSP says."""
        self._enqueue(_Queued(method, params, None))

    # -- Towards pygls

    def _enqueue(self, message: _Queued) -> None:
        self._queue.append(message)
        if self._load().done():
            self._pump()

    def _load(self) -> asyncio.Task[None]:
        if self._loading is None:
            self._loop = asyncio.get_running_loop()
            self._loading = self._loop.create_task(self._load_in_thread(), name="pygls")
        return self._loading

    async def _load_in_thread(self) -> None:
        try:
            self._server = await asyncio.to_thread(self._make_server)
        except Exception as failure:  # The edge of a background task: whoever waits is told, now and later.
            log.exception("pygls cannot be loaded")
            self._load_failure = LanguageFailure(f"pygls cannot be loaded: {failure}")
        self._pump()

    def _make_server(self) -> PyglsServer:
        from sidestep.lsp.pygls_server import PyglsServer

        server = PyglsServer(self._name, self._version, self)
        late: Mapping[str, Feature] = {} if self._build_late is None else self._build_late(server)
        params = _counting_in(self._position_encoding, self._initialize_params)
        server.start(params, {**self._features, **late}, self._position_encoding)
        return server

    def _pump(self) -> None:
        while self._queue:
            message = self._queue.popleft()
            if self._server is None:
                self._fail(message.number, self._load_failure or LanguageFailure("pygls is not loaded"))
                continue
            try:
                self._server.feed(message.method, _load_params(message.params), message.number)
            except RpcError as refused:
                self._fail(message.number, refused)
                if message.number is None:
                    log.info("%s ignored: %s", message.method, refused)

    # -- From pygls

    def take(self, message: Request | Notification | Response) -> None:
        """See `Sink.take`."""
        self._on_loop(self._take, message)

    def take_failure(self, message_id: object, why: str) -> None:
        """See `Sink.take_failure`."""
        self._on_loop(self._fail, message_id, LanguageFailure(why))

    def _on_loop(self, callback: Callable[..., object], *arguments: object) -> None:
        assert self._loop is not None, "Invariant: pygls is loaded from the loop"
        try:
            is_here = asyncio.get_running_loop() is self._loop
        except RuntimeError:
            is_here = False
        if is_here:
            callback(*arguments)
        else:
            self._loop.call_soon_threadsafe(callback, *arguments)

    def _take(self, message: Request | Notification | Response) -> None:
        if isinstance(message, Response):
            self._take_response(message)
            return
        assert self._peer is not None, "Invariant: the bridge is connected before it is used"
        params = message.params
        if isinstance(message, Notification):
            self._peer.notify(message.method, params)
        else:
            # pygls knows this request by an id of its own, the client by one of the session's.
            pygls_id = message.id
            self._peer.ask(message.method, params, lambda response: self._settle(pygls_id, response))

    def _take_response(self, response: Response) -> None:
        answer = self._answers.get(cast("int", response.id))
        if answer is None or answer.done():
            return  # The handshake's, or of a request that was cancelled.
        if response.error is None:
            answer.set_result(response.result or Raw(b"null"))
        else:
            answer.set_exception(_failure_of(response.error))

    def _settle(self, pygls_id: int | str, response: Response | None) -> None:
        if self._server is not None:
            self._server.feed_response(pygls_id, response)

    def _fail(self, number: object, failure: Exception) -> None:
        answer = self._answers.get(cast("int", number))
        if answer is not None and not answer.done():
            answer.set_exception(failure)


def _load_params(params: Raw | None) -> object:
    # Imported late, here and below: before pygls is loaded nobody needs it.
    import json

    try:
        loaded: object = {} if params is None else json.loads(bytes(params))
    except (ValueError, RecursionError):
        data = InvalidParamsData(reason="invalidParams", path="$", expected="valid UTF-8 JSON")
        raise RpcError(invalid_params(data)) from None
    return {} if loaded is None else loaded


def _counting_in(position_encoding: str, params: Raw | None) -> dict[str, Any]:
    """
    The client's initialize params with one position encoding, the one that our reply names.

    pygls would choose by its own taste among those offered, and count differently from what the client was told.
    """
    try:
        loaded = _load_params(params)
    except RpcError:
        loaded = {}
    changed: dict[str, Any] = dict(cast("dict[str, Any]", loaded)) if isinstance(loaded, dict) else {}
    capabilities: object = changed.get("capabilities")
    if isinstance(capabilities, dict):
        known = dict(cast("dict[str, Any]", capabilities))
        general: object = known.get("general")
        others = cast("dict[str, Any]", general) if isinstance(general, dict) else {}
        known["general"] = {**others, "positionEncodings": [position_encoding]}
        changed["capabilities"] = known
    return changed


def _failure_of(raw: Raw) -> Exception:
    """An error answer of pygls' as ours; the text of one that nobody expected stays in our log."""
    import json

    error: dict[str, Any] = json.loads(bytes(raw))
    code, message = error.get("code"), str(error.get("message"))
    if code == INTERNAL_ERROR or not isinstance(code, int):
        return LanguageFailure(message)
    return RpcError(ResponseError(code=code, message=message, data=error.get("data") or {"reason": "requestFailed"}))
