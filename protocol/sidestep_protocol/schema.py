"""
The protocol's JSON schema, and its hash.

Owns what the schema is made of: every type in METHODS, the handshake's, and the error data. Building it costs as much
as starting Python does, which `serve` cannot spend before its first reply: the hash is kept as a constant in
`schema_constant`, and a test holds the two together.
"""

from __future__ import annotations

import functools
import hashlib
from typing import Any

import msgspec

from sidestep_protocol import PROTOCOL_VERSION
from sidestep_protocol.capabilities import ClientWorkflowCapability, InitializationOptions, ServerWorkflowCapability
from sidestep_protocol.errors import ERROR_CODES, ERROR_DATA, ErrorData
from sidestep_protocol.methods import METHODS, Method
from sidestep_protocol.schema_constant import SCHEMA_HASH


def schema_document() -> dict[str, Any]:
    """
    Describe the whole contract as plain JSON values.

    Returns:
        `{"protocolVersion", "methods": {name: {...}}, "errors": {reason: code}, "errorData": {reason: type},
        "$defs": {type: JSON schema}}`.
    """
    types = _types()
    _, definitions = msgspec.json.schema_components(types, ref_template="#/$defs/{name}")
    return {
        "protocolVersion": PROTOCOL_VERSION,
        "methods": {name: _describe(method) for name, method in METHODS.items()},
        "errors": dict(ERROR_CODES),
        "errorData": {reason: data.__name__ for reason, data in ERROR_DATA.items()},
        "$defs": definitions,
    }


def schema_hash() -> str:
    """SHA-256 of the schema document in canonical form, hexadecimal. Equal hashes mean equal contracts."""
    return SCHEMA_HASH


@functools.cache
def compute_schema_hash() -> str:
    """Build the schema and hash it: what `schema_hash` has to be."""
    return hashlib.sha256(msgspec.json.encode(schema_document(), order="deterministic")).hexdigest()


def _types() -> list[type[msgspec.Struct]]:
    handshake = [ClientWorkflowCapability, ServerWorkflowCapability, InitializationOptions]
    of_methods = [
        kind
        for method in METHODS.values()
        for kind in (method.params, method.result, method.background_result)
        if kind is not None
    ]
    # A dict keeps the order and drops doubles.
    return list(dict.fromkeys([*handshake, *of_methods, ErrorData, *ERROR_DATA.values()]))


def _describe(method: Method) -> dict[str, Any]:
    return {
        "direction": method.direction.value,
        "kind": method.kind.value,
        "params": method.params.__name__,
        "result": None if method.result is None else method.result.__name__,
        "backgroundResult": None if method.background_result is None else method.background_result.__name__,
    }
