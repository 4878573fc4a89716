"""
JSON-RPC 2.0 envelopes: the bytes of one frame become one message, and one message becomes the bytes of one frame.

Owns what a request, a notification and a response are, which ids are ids, and what a body that is none of them is
answered with. It must not know any method: `params`, `result` and `error` stay raw, so payload keys are never touched.

Invariant: `decode` never raises, whatever the bytes.
Invariant: integer and string ids are different ids (`1` is not `"1"`), and `True` or `1.0` are none.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, Literal, NoReturn, TypeAlias, cast

import msgspec
from msgspec import UNSET, Raw, UnsetType

from sidestep.rpc.errors import wire_error
from sidestep_protocol.errors import ResponseError

if TYPE_CHECKING:
    from collections.abc import Mapping

RequestId: TypeAlias = int | str

# The scan for an id in a body nested too deep to parse gives up after so many tokens: it is a courtesy, not a parser.
SALVAGE_TOKENS_MAX = 100_000


class Request(msgspec.Struct, frozen=True):
    """Wants exactly one response with its id."""

    id: RequestId
    method: str
    # Raw JSON; None when absent.
    params: Raw | None


class Notification(msgspec.Struct, frozen=True):
    """Wants no response."""

    method: str
    # Raw JSON; None when absent.
    params: Raw | None


class Response(msgspec.Struct, frozen=True):
    """
    The client's answer to one of our requests.

    With neither `result` nor `error` it is one only if we asked under that id: `result: undefined` of a JavaScript host
    does not survive its `JSON.stringify`.
    """

    # None when the client sent no usable id: such an answer belongs to nothing.
    id: RequestId | None
    result: Raw | None
    # None also for `"error": null`, which some clients send beside a result.
    error: Raw | None


class Malformed(msgspec.Struct, frozen=True):
    """Neither of the above; answered with `error` under `id` (None is sent as null)."""

    id: RequestId | None
    error: ResponseError


Message: TypeAlias = Request | Notification | Response | Malformed


class _Envelope(msgspec.Struct):
    """The common case, decoded in one pass; everything it refuses goes to `_diagnose`."""

    jsonrpc: Literal["2.0"]
    id: int | str | UnsetType = UNSET
    method: str | UnsetType = UNSET
    params: Raw | UnsetType = UNSET
    result: Raw | UnsetType = UNSET
    error: Raw | UnsetType = UNSET


_decoder = msgspec.json.Decoder(_Envelope)
_encoder = msgspec.json.Encoder()


def decode(body: bytes) -> Message:
    """
    Read one frame's body.

    Returns:
        A message; `Malformed` for a batch, a scalar, broken JSON, a bad id, a method that is no string, another
        `jsonrpc`. The raw members point into `body`: they keep it alive.
    """
    try:
        envelope = _decoder.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return _diagnose(body)
    if envelope.method is not UNSET:
        params = None if envelope.params is UNSET else envelope.params
        if envelope.id is UNSET:
            return Notification(envelope.method, params)
        return Request(envelope.id, envelope.method, params)
    result = None if envelope.result is UNSET else envelope.result
    error = None if envelope.error is UNSET or bytes(envelope.error) == b"null" else envelope.error
    if envelope.id is UNSET and result is None and error is None:
        return Malformed(None, wire_error("invalidRequest", "a message needs a method, a result or an error"))
    return Response(None if envelope.id is UNSET else envelope.id, result, error)


def encode_request(request_id: RequestId, method: str, params: object) -> bytes:
    """Raises: TypeError, ValueError: `params` is not JSON."""
    head = b'{"jsonrpc":"2.0","id":%b,"method":%b' % (encode_json(request_id), encode_json(method))
    return b'%b,"params":%b}' % (head, _encode_params(params))


def encode_notification(method: str, params: object) -> bytes:
    """Raises: TypeError, ValueError: `params` is not JSON."""
    return b'{"jsonrpc":"2.0","method":%b,"params":%b}' % (encode_json(method), _encode_params(params))


def encode_result(request_id: RequestId, result: object) -> bytes:
    """
    Built by hand: the member `result` must stand there even when it is null, whatever a struct says about defaults.

    Raises:
        TypeError, ValueError, RecursionError: `result` is not JSON.
    """
    return b'{"jsonrpc":"2.0","id":%b,"result":%b}' % (encode_json(request_id), encode_json(result))


def encode_error(request_id: RequestId | None, error: ResponseError) -> bytes:
    return b'{"jsonrpc":"2.0","id":%b,"error":%b}' % (encode_json(request_id), encode_json(error))


def encode_json(value: object) -> bytes:
    """
    UTF-8 JSON of structs, builtins and raw JSON.

    Strings with lone surrogates (JavaScript and undecodable file names make them) are sent escaped, as JavaScript does.

    Raises:
        TypeError, ValueError, RecursionError: `value` is not JSON.
    """
    try:
        return _encoder.encode(value)
    except UnicodeEncodeError:
        return json.dumps(msgspec.to_builtins(value, enc_hook=_load_raw), separators=(",", ":")).encode("ascii")


def _encode_params(params: object) -> bytes:
    # The contract says that `params` is always an object.
    return b"{}" if params is None else encode_json(params)


def _load_raw(value: object) -> object:
    if isinstance(value, Raw):
        return json.loads(bytes(value))
    raise TypeError(f"{type(value).__name__} is not JSON")


def _diagnose(body: bytes) -> Message:
    """Say what is wrong with a body, or read it after all: msgspec refuses lone surrogates, which JavaScript sends."""
    try:
        value: object = json.loads(body.decode("utf-8"), parse_constant=_refuse_constant)
    except RecursionError:
        return Malformed(_salvage_id(body), wire_error("invalidRequest", "the message is nested too deep"))
    except ValueError:
        return Malformed(None, wire_error("parseError", "the message is not JSON"))
    if isinstance(value, list):
        return Malformed(None, wire_error("batch", "batches are not supported"))
    if not isinstance(value, dict):
        return Malformed(None, wire_error("invalidRequest", "a message is a JSON object"))
    return _judge(cast("dict[str, Any]", value))


def _judge(message: Mapping[str, Any]) -> Message:
    has_id = "id" in message
    request_id = _as_id(message.get("id"))
    if "method" not in message and ("result" in message or "error" in message):
        # An answer is never answered, whatever is wrong with it.
        error = message.get("error")
        result = _dump(message["result"]) if "result" in message else None
        return Response(request_id, result, None if error is None else _dump(error))
    if has_id and request_id is None:
        return Malformed(None, wire_error("badId", "an id is an integer or a string"))
    if message.get("jsonrpc") != "2.0":
        return Malformed(request_id, wire_error("invalidRequest", '"jsonrpc" must be "2.0"'))
    method = message.get("method")
    if not isinstance(method, str):
        return Malformed(request_id, wire_error("invalidRequest", "a method is a string"))
    params = _dump(message["params"]) if "params" in message else None
    return Notification(method, params) if request_id is None else Request(request_id, method, params)


def _as_id(value: object) -> RequestId | None:
    # `bool` is an `int` to Python, not to JSON.
    if isinstance(value, str) or (isinstance(value, int) and not isinstance(value, bool)):
        return value
    return None


def _dump(value: object) -> Raw:
    return Raw(json.dumps(value).encode("ascii"))


def _refuse_constant(name: str) -> NoReturn:
    # The standard library takes NaN and Infinity for JSON.
    raise ValueError(f"{name} is not JSON")


# Runs of brackets are one token, so that a body that is nothing but brackets is cheap.
_token = re.compile(rb'"(?:[^"\\]|\\.)*"|[\[{]+|[\]}]+|[:,]|[^\s\[\]{}:,"]+')


def _salvage_id(body: bytes) -> RequestId | None:
    """The value of the outermost `id`, found without recursion; None when there is none worth echoing."""
    depth = 0
    # The last two tokens of the outermost object.
    before_last, last = b"", b""
    for count, match in enumerate(_token.finditer(body)):
        token = match.group()
        if token[:1] in b"[{":
            depth += len(token)
        elif token[:1] in b"]}":
            depth -= len(token)
        elif depth == 1:
            if before_last == b'"id"' and last == b":":
                return _parse_id(token)
            before_last, last = last, token
        if count > SALVAGE_TOKENS_MAX:
            break
    return None


def _parse_id(token: bytes) -> RequestId | None:
    try:
        return _as_id(json.loads(token))
    except ValueError:
        return None
