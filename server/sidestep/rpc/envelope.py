"""
JSON-RPC 2.0 envelopes: the bytes of one frame become one message, and one message becomes the bytes of one frame.

Owns what a request, a notification and a response are, and how they are written. It must not know any method: `params`,
`result` and `error` stay raw, so payload keys are never touched. A body that is none of them is `diagnosis.py`'s, which
is loaded when the first one comes.

Invariant: `decode` never raises, whatever the bytes.
Invariant: integer and string ids are different ids (`1` is not `"1"`), and `True` or `1.0` are none.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

import msgspec
from msgspec import UNSET, Raw, UnsetType

from sidestep.rpc.errors import wire_error
from sidestep_protocol.errors import ResponseError

RequestId: TypeAlias = int | str


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
    # How long an answer was of which nothing but the id was read; None for one that was read.
    skipped_bytes: int | None = None


class Malformed(msgspec.Struct, frozen=True):
    """Neither of the above; answered with `error` under `id` (None is sent as null)."""

    id: RequestId | None
    error: ResponseError


Message: TypeAlias = Request | Notification | Response | Malformed


class _Envelope(msgspec.Struct):
    """The common case, decoded in one pass; everything it refuses goes to `diagnose`."""

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
        from sidestep.rpc.diagnosis import diagnose

        return diagnose(body)
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
        from sidestep.rpc.diagnosis import encode_escaped

        return encode_escaped(value)


def _encode_params(params: object) -> bytes:
    # The contract says that `params` is always an object.
    return b"{}" if params is None else encode_json(params)
