"""
The one module that touches pygls: a language server without a transport, used through its public hooks only.

Owns the conversion between pygls' messages and plain JSON. It must not know our session: what pygls wants to send goes
to a `Sink`. Importing this module costs a third of a second, so only `bridge.py` does, late and in a thread.

Invariant: no exception's text and no traceback of pygls' leaves this module but into our log.
Rejected: pygls' own transport. Stock, it leaves requests without an answer, sends tracebacks to the client, blocks the
event loop on stdout, and shares one table for both directions' ids.
"""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import unquote

import cattrs
from msgspec import Raw
from pygls.exceptions import JsonRpcException, JsonRpcInternalError
from pygls.lsp.server import LanguageServer

from sidestep.rpc.envelope import Malformed, Notification, Request, Response, decode
from sidestep.rpc.errors import RpcError, invalid_params
from sidestep_protocol.errors import InvalidParamsData

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from pygls.server import ServerErrors

    from sidestep.lsp.bridge import Feature

log = logging.getLogger("sidestep.lsp")

# Under this id pygls is initialized; `PyglsBridge` counts the others from 1.
INITIALIZE_ID = 0


class Sink(Protocol):
    """Where pygls' messages go. May be called from any thread."""

    def take(self, message: Request | Notification | Response) -> None: ...

    def take_failure(self, message_id: object, why: str) -> None:
        """The answer to this message could not be sent."""
        ...


class PyglsServer(LanguageServer):
    """A language server that is fed messages and says what it sends."""

    def __init__(self, name: str, version: str, sink: Sink) -> None:
        super().__init__(name, version)  # pyright: ignore[reportUnknownMemberType] -- its *args have no types
        self._sink = sink
        self._closers: list[Callable[[], None]] = []
        self.protocol.set_writer(self, include_headers=False)

    def start(
        self, initialize_params: Mapping[str, Any], features: Mapping[str, Feature], position_encoding: str
    ) -> None:
        """Register the features, then go through the handshake. Its answer goes to the sink like any other."""
        for method, handler in features.items():
            self.add_feature(method, handler)
        try:
            self.feed("initialize", initialize_params, INITIALIZE_ID)
        except RpcError as refused:
            # Some client's params are not what LSP says: its documents matter more than its capabilities.
            log.warning("pygls refuses the initialize params (%s); going on with the least", refused)
            least = {"general": {"positionEncodings": [position_encoding]}}
            self.feed("initialize", {"processId": None, "rootUri": None, "capabilities": least}, INITIALIZE_ID)
        self.feed("initialized", {})

    def add_feature(self, method: str, handler: Feature) -> None:
        """Serve one method; an `RpcError` of the handler's is answered as it is."""

        async def serve(params: Any) -> object:
            try:
                return await handler(params)
            except RpcError as refused:
                error = refused.error
                raise JsonRpcException(error.message, error.code, error.details) from None

        self.feature(method)(serve)

    def feed(self, method: str, params: object, message_id: int | None = None) -> None:
        """
        Hand pygls one message of the client's.

        Raises:
            RpcError: -32602; the params are not what LSP says, and pygls will not answer.
        """
        message: dict[str, Any] = {"jsonrpc": "2.0", "method": method, "params": params}
        if message_id is not None:
            message["id"] = message_id
        self._feed(message)

    def feed_response(self, message_id: int | str, response: Response | None) -> None:
        """Hand pygls the client's answer to a request of its own; None when the client is gone."""
        message: dict[str, Any] = {"jsonrpc": "2.0", "id": message_id}
        failure = {**message, "error": {"code": -32802, "message": "the client did not answer"}}
        try:
            if response is None:
                message = failure
            elif response.error is not None:
                message["error"] = json.loads(bytes(response.error))
            else:
                message["result"] = json.loads(bytes(response.result or b"null"))
            self._feed(message)
        except (RpcError, ValueError, RecursionError):
            log.info("the client's answer to a request of pygls' does not fit")
            self._feed(failure)

    def text_of(self, uri: str) -> str | None:
        """The text of an open document."""
        document = self.workspace.text_documents.get(unquote(uri))
        return None if document is None else document.source

    @property
    def position_encoding(self) -> str:
        """What columns count: "utf-8", "utf-16" or "utf-32", as agreed in the handshake."""
        encoding: Any = self.workspace.position_encoding  # pyright: ignore[reportUnknownMemberType] -- not typed there
        return str(getattr(encoding, "value", encoding) or "utf-16")

    def offers(self, *path: str, default: object = None) -> Any:
        """A capability of the client's, by lsprotocol's names; `default` for one it does not speak of."""
        found: Any = self.client_capabilities
        for name in path:
            found = getattr(found, name, None)
        return default if found is None else found

    def publish_diagnostics(self, uri: str, version: int | None, diagnostics: Sequence[Mapping[str, Any]]) -> None:
        """
        Tell the problems of a document.

        Args:
            version: Of the text they were found in; None for a document that is closed.
        """
        params: dict[str, Any] = {"uri": uri, "diagnostics": diagnostics}
        if version is not None:
            params["version"] = version
        # As plain JSON: lsprotocol's types would check what we made ourselves.
        self._sink.take(Notification("textDocument/publishDiagnostics", Raw(json.dumps(params).encode())))

    def at_shutdown(self, close: Callable[[], None]) -> None:
        """Have something closed with the server."""
        self._closers.append(close)

    def shutdown(self) -> None:
        """Public hook: pygls lets go of its threads."""
        for close in self._closers:
            close()
        super().shutdown()

    def report_server_error(self, error: Exception, source: ServerErrors) -> None:
        """Public hook: stock pygls shows the exception's text to the user."""
        log.error("pygls: %s", error, exc_info=error)
        if source is JsonRpcInternalError:
            # An answer could not be serialised; pygls sends nothing then.
            self._sink.take_failure(self.protocol.msg_id, str(error))

    def write(self, data: bytes) -> None:
        """Public hook: pygls' writer. Called in the context of the message that is answered."""
        message = decode(data)
        if isinstance(message, Malformed):
            # NaN, which Python's JSON has and JSON has not.
            self._sink.take_failure(self.protocol.msg_id, message.error.message)
        else:
            self._sink.take(message)

    def close(self) -> None:
        """Public hook: pygls' writer is closed by an `exit` message, which it is never fed."""

    def _feed(self, message: dict[str, Any]) -> None:
        try:
            structured: Any = self.protocol.structure_message(message)
        except JsonRpcException as refused:
            raise RpcError(invalid_params(_explain(refused))) from None
        self.protocol.handle_message(structured)


def _explain(refused: JsonRpcException) -> InvalidParamsData:
    """Where the params do not fit, from what cattrs found; the first problem is enough."""
    path, expected = "$", "params as LSP defines them"
    cause = refused.__cause__
    if isinstance(cause, cattrs.ClassValidationError):
        # "required field missing @ $.params.text_document"
        problem, _, where = cattrs.transform_error(cause)[0].partition(" @ ")
        path = _camel(where.replace("$.params", "$", 1)) or "$"
        _, _, named = problem.partition("expected ")
        expected = named or ("a value (required)" if problem.startswith("required") else expected)
    return InvalidParamsData(reason="invalidParams", path=path, expected=expected)


def _camel(path: str) -> str:
    """`$.text_document.uri` as the wire spells it."""
    head, *rest = path.split("_")
    return head + "".join(part[:1].upper() + part[1:] for part in rest)
