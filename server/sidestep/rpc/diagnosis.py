"""
What is wrong with a body that the envelope's decoder refuses, and JSON with lone surrogates, which msgspec refuses.

Owns which ids are ids, and what a body that is no message is answered with. Loaded when it is first needed: few clients
ever need it, and every one would wait for it.

Invariant: `diagnose` never raises, whatever the bytes.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NoReturn, cast

import msgspec
from msgspec import Raw

from sidestep.rpc.envelope import Malformed, Notification, Request, Response
from sidestep.rpc.errors import wire_error
from sidestep_protocol.oversized import JSON_TOKEN

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sidestep.rpc.envelope import Message, RequestId

# The scan for an id in a body nested too deep to parse gives up after so many tokens: it is a courtesy, not a parser.
SALVAGE_TOKENS_MAX = 100_000


def encode_escaped(value: object) -> bytes:
    """
    JSON in which every character past ASCII is escaped, lone surrogates too, as JavaScript does.

    Raises:
        TypeError, ValueError, RecursionError: `value` is not JSON.
    """
    return json.dumps(msgspec.to_builtins(value, enc_hook=_load_raw), separators=(",", ":")).encode("ascii")


def diagnose(body: bytes) -> Message:
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


def _salvage_id(body: bytes) -> RequestId | None:
    """The value of the outermost `id`, found without recursion; None when there is none worth echoing."""
    depth = 0
    # The last two tokens of the outermost object.
    before_last, last = b"", b""
    for count, match in enumerate(JSON_TOKEN.finditer(body)):
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


def _load_raw(value: object) -> object:
    if isinstance(value, Raw):
        return json.loads(bytes(value))
    raise TypeError(f"{type(value).__name__} is not JSON")
