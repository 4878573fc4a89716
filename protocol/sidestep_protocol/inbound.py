"""
What comes from a server, taken apart: envelopes, params, and results that a newer server may have sent.

Owns no state and knows no connection. What is no message, or does not fit, raises msgspec's errors.
"""

from collections.abc import Callable
from typing import Any

import msgspec

from sidestep_protocol.errors import ResponseError
from sidestep_protocol.events import with_known_events
from sidestep_protocol.methods import decoder, find_method
from sidestep_protocol.payload import Id
from sidestep_protocol.requests import ResultT


class Envelope(msgspec.Struct, frozen=True):
    """Any message from the server. Params and results stay raw until their type is known."""

    id: Id | None = None
    method: str | None = None
    params: msgspec.Raw = msgspec.Raw(b"")
    result: msgspec.Raw = msgspec.Raw(b"")
    error: ResponseError | None = None


def tolerant_decode(decode: Callable[[bytes | msgspec.Raw], ResultT], raw: bytes | msgspec.Raw) -> ResultT:
    """Decode what a newer server may have sent: events of unknown type become `UnknownEvent`."""
    try:
        return decode(raw)
    except msgspec.ValidationError:
        plain = decoder(Any).decode(raw)
        known = with_known_events(plain)
        if known == plain:
            raise
        return decode(msgspec.json.encode(known))


def decode_params(name: str, raw: msgspec.Raw) -> Any:
    """Params of a known method as its struct, those of any other as plain JSON."""
    method = find_method(name)
    if method is None:
        return decoder(Any).decode(raw) if bytes(raw) else {}
    return tolerant_decode(method.decode_params, raw)
