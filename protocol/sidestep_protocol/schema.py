"""
The contract as one JSON Schema document (2020-12), and its hash.

Owns what the document holds: every method, the handshake, the errors, and the types they are made of. It is read off
the structs, METHODS and the error table; the OpenRPC document, the TypeScript declarations and the check of
compatibility are made from it and see no struct.

Building it costs as much as starting Python does, which `serve` cannot spend before its first reply: the hash is kept
as a constant in `schema_constant`, and a test holds the two together.
"""

from __future__ import annotations

import functools
import hashlib
import json
from types import GenericAlias, ModuleType, UnionType
from typing import Annotated, Any, Literal, cast, get_origin

import msgspec

from sidestep_protocol import (
    PROTOCOL_VERSION,
    capabilities,
    errors,
    events,
    notifications,
    payload,
    runs,
    tasks,
    workflow,
)
from sidestep_protocol.methods import LSP_METHODS, METHODS, Method
from sidestep_protocol.schema_constant import SCHEMA_HASH

# A JSON Schema, or a whole document: plain JSON values.
Schema = dict[str, Any]

# The struct modules, in the order in which they build on each other.
MODULES: tuple[ModuleType, ...] = (payload, runs, tasks, events, notifications, workflow, capabilities, errors)

_REFERENCE = "#/$defs/"
_PROGRESS = capabilities.WorkDoneProgressBegin | capabilities.WorkDoneProgressReport | capabilities.WorkDoneProgressEnd
# What stands in the places that LSP leaves open: who sends it, and its type.
_INSIDE: dict[str, tuple[str, Any]] = {
    "InitializeParams.capabilities.experimental.workflow": ("client", capabilities.ClientWorkflowCapability),
    "InitializeResult.capabilities.experimental.workflow": ("server", capabilities.ServerWorkflowCapability),
    "ProgressParams.value": ("server", _PROGRESS),
    "Response.error": ("server", errors.ResponseError),
}


def schema_hash() -> str:
    """SHA-256 of the contract, hexadecimal. Equal hashes mean equal contracts, whatever their descriptions say."""
    return SCHEMA_HASH


@functools.cache
def compute_schema_hash() -> str:
    """Build the contract and hash it: what `schema_hash` has to be."""
    return hashlib.sha256(contract_text().encode()).hexdigest()


def schema_text() -> str:
    """The document as its file holds it (`sidestep.schema.json`), descriptions included."""
    return json_text(schema_document())


def contract_text() -> str:
    """The document without descriptions, as the baseline of a version holds it (`version-1.json`)."""
    return json_text(without_descriptions(schema_document()))


def json_text(document: Schema) -> str:
    """Write a document as its file holds it: indented, ending with a newline."""
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def schema_document() -> Schema:
    """
    Describe the whole contract as plain JSON values.

    Returns:
        A new `{"$schema", "$id", "title", "protocolVersion", "methods", "inside", "errors", "$defs"}`. A method is
        `{"direction", "kind", "params", "result"?, "backgroundResult"?}` with schemas, and has a result if it is a
        request; `inside` is `{path: {"sentBy", "schema"}}`, an error `{reason: {"code", "data"}}`.
    """
    # Reading the sources' comments is the one slow import, and `serve` never comes here.
    from sidestep_protocol.schema_comments import describe

    aliases = named_aliases()
    kinds = [*_types(), *(kind for _, kind in _INSIDE.values())]
    schemas, components = msgspec.json.schema_components(
        [*kinds, *aliases.values()], ref_template=_REFERENCE + "{name}"
    )
    inline = dict(zip(aliases, schemas[len(kinds) :], strict=True))
    definitions = {**inline, **components}
    definitions = _with_references({name: definitions[name] for name in sorted(definitions)}, inline)
    _open_events(definitions)
    describe(definitions, MODULES)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"urn:sidestep:protocol:{PROTOCOL_VERSION}",
        "title": "Sidestep protocol",
        "protocolVersion": PROTOCOL_VERSION,
        "methods": {name: _method(method) for name, method in {**METHODS, **LSP_METHODS}.items()},
        "inside": {path: {"sentBy": who, "schema": _reference(kind)} for path, (who, kind) in _INSIDE.items()},
        "errors": {
            reason: {"code": code, "data": _reference(errors.ERROR_DATA.get(reason, errors.ErrorData))}
            for reason, code in errors.ERROR_CODES.items()
        },
        "$defs": definitions,
    }


def without_descriptions(document: Schema) -> Schema:
    """Copy a document, leaving out what is there for people only; fields that are called so stay."""
    return cast("Schema", _bare(document, is_schema=True))


def named_aliases() -> dict[str, Any]:
    """
    Find the types that have a name and are no struct: open and closed enumerations, unions, scalars.

    Returns:
        Name to type, in the order in which the modules define them.
    """
    found: dict[str, Any] = {}
    for module in MODULES:
        for name, value in vars(module).items():
            is_type = isinstance(value, UnionType | GenericAlias) or get_origin(value) in (Annotated, Literal)
            if is_type and not name.startswith("_"):
                found[name] = value
    return found


def _types() -> list[type[msgspec.Struct]]:
    of_methods = [
        kind
        for method in [*METHODS.values(), *LSP_METHODS.values()]
        for kind in (method.params, method.result, method.background_result)
        if kind is not None
    ]
    # A dict keeps the order and drops doubles.
    return list(dict.fromkeys([*of_methods, errors.ErrorData, *errors.ERROR_DATA.values()]))


def _reference(kind: Any) -> Schema:
    if isinstance(kind, UnionType):
        return {"anyOf": [_reference(member) for member in kind.__args__]}
    return {"$ref": _REFERENCE + kind.__name__}


def _method(method: Method) -> Schema:
    described: Schema = {
        "direction": method.direction.value,
        "kind": method.kind.value,
        "params": _reference(method.params),
    }
    if method.is_request:
        described["result"] = {"type": "null"} if method.result is None else _reference(method.result)
    if method.background_result is not None:
        described["backgroundResult"] = _reference(method.background_result)
    return described


def _open_events(definitions: dict[str, Schema]) -> None:
    """Turn UnknownEvent into what it stands in for: an event of any type that this version does not know."""
    unknown = definitions["UnknownEvent"]
    del unknown["properties"]["event"]
    unknown["properties"]["type"] = {"type": "string", "not": {"enum": list(events.EVENT_TYPES)}}
    unknown["required"].remove("event")
    unknown["description"] = "An event of a type that this version does not know: pass over it."
    del definitions["Event"]["discriminator"]["mapping"]["unknown"]


def _with_references(definitions: dict[str, Schema], aliases: dict[str, Schema]) -> dict[str, Schema]:
    """Put a reference wherever a named alias stands written out: msgspec knows the names of structs only."""
    by_schema: dict[str, str] = {}
    for name, schema in aliases.items():
        clash = by_schema.setdefault(_canonical(schema), name)
        assert clash == name, f"Invariant: one type, one name: {clash} and {name} are the same"
    return {name: _replace(schema, by_schema, except_name=name) for name, schema in definitions.items()}


def _replace(node: Any, by_schema: dict[str, str], except_name: str | None = None) -> Any:
    if isinstance(node, list):
        return [_replace(item, by_schema) for item in cast("list[Any]", node)]
    if not isinstance(node, dict):
        return node
    schema = cast("Schema", node)
    beside = {key: schema[key] for key in ("description", "default") if key in schema}
    name = by_schema.get(_canonical({key: value for key, value in schema.items() if key not in beside}))
    if name is not None and name != except_name:
        return {"$ref": _REFERENCE + name, **beside}
    return {key: value if key == "default" else _replace(value, by_schema) for key, value in schema.items()}


def _canonical(schema: Schema) -> str:
    return json.dumps({key: value for key, value in schema.items() if key != "description"}, sort_keys=True)


def _bare(node: Any, *, is_schema: bool) -> Any:
    """Copy a schema without its words; `is_schema` is false where keys are names: of fields, types, methods."""
    if isinstance(node, list):
        return [_bare(item, is_schema=True) for item in cast("list[Any]", node)]
    if not isinstance(node, dict):
        return node
    names = ("properties", "$defs", "methods", "inside", "errors", "mapping")
    return {
        key: value if key == "default" else _bare(value, is_schema=not (is_schema and key in names))
        for key, value in cast("Schema", node).items()
        if not (is_schema and key in ("title", "description"))
    }
