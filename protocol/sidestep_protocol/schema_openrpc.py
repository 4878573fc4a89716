"""
The contract as an OpenRPC 1.3 document.

Owns the shape of that document; every fact in it comes from `schema.schema_document`. OpenRPC knows methods of a
server only, so the direction of each stands in an extension (`x-direction`: clientToServer, serverToClient, both); a
notification is a method without result.
"""

from __future__ import annotations

from typing import Any, cast

from sidestep_protocol.methods import METHODS, Direction
from sidestep_protocol.schema import Schema, json_text, schema_document

OPENRPC_VERSION = "1.3.2"

_FROM = "#/$defs/"
_TO = "#/components/schemas/"


def openrpc_text() -> str:
    """The document as its file holds it (`openrpc.json`)."""
    return json_text(openrpc_document(schema_document()))


def openrpc_document(document: Schema) -> Schema:
    """
    Make the OpenRPC document from the schema document.

    Params come by name, one content descriptor for each field, required ones first. Every request of a host refers to
    every error: which of them a method answers is told by its section of the contract. OpenRPC wants an error code
    once, so reasons that share a code are one error, told apart by `data.reason`: `data` is the schema of what each
    carries.
    """
    definitions: dict[str, Schema] = document["$defs"]
    errors = _errors(document["errors"])
    references: list[Schema] = [{"$ref": f"#/components/errors/{name}"} for name in errors]
    made = {
        "openrpc": OPENRPC_VERSION,
        "info": {"title": document["title"], "version": str(document["protocolVersion"])},
        "methods": [_method(name, method, definitions, references) for name, method in document["methods"].items()],
        "x-inside": document["inside"],
        "components": {"schemas": definitions, "errors": errors},
    }
    return cast("Schema", _moved(made))


def _method(name: str, method: Schema, definitions: dict[str, Schema], errors: list[Schema]) -> Schema:
    params = definitions[_name_of(method["params"])]
    result = method.get("result")
    described: Schema = {
        "name": name,
        "tags": [{"name": "workflow" if name in METHODS else "lsp"}, {"name": method["kind"]}],
    }
    # The shared empty struct says nothing about the method.
    speaking = params if params["properties"] else definitions.get(_name_of(result or {}), params)
    if speaking["properties"]:
        described["description"] = speaking["description"]
    described |= {
        "paramStructure": "by-name",
        "params": [
            _descriptor(field, schema, is_required=wanted)
            for wanted in (True, False)
            for field, schema in params["properties"].items()
            if (field in params["required"]) is wanted
        ],
    }
    if result is not None:
        other = method.get("backgroundResult")
        schema = result if other is None else {"anyOf": [result, other]}
        described["result"] = {"name": _name_of(result) or "null", "schema": schema}
        # What a host answers a request with is its own affair.
        described |= {"errors": errors} if method["direction"] == Direction.CLIENT_TO_SERVER.value else {}
    return {**described, "x-direction": method["direction"]}


def _descriptor(field: str, schema: Schema, *, is_required: bool) -> Schema:
    described: Schema = {"name": field}
    if "description" in schema:
        described["description"] = schema["description"]
    bare = {key: value for key, value in schema.items() if key != "description"}
    return {**described, "required": is_required, "schema": bare}


def _errors(table: dict[str, Schema]) -> dict[str, Schema]:
    """The errors by the reason that stands first under its code."""
    by_code: dict[int, dict[str, Any]] = {}
    for reason, error in table.items():
        by_code.setdefault(error["code"], {})[reason] = error["data"]
    return {
        next(iter(reasons)): {
            "code": code,
            "message": " | ".join(reasons),
            "data": {
                "oneOf": [
                    {"allOf": [schema, {"properties": {"reason": {"const": reason}}}]}
                    for reason, schema in reasons.items()
                ]
            },
        }
        for code, reasons in by_code.items()
    }


def _name_of(schema: Schema) -> str:
    """The type a schema refers to, empty when it refers to none."""
    return str(schema.get("$ref", "")).removeprefix(_FROM)


def _moved(node: Any) -> Any:
    """Copy with references to where OpenRPC keeps its schemas."""
    if isinstance(node, str):
        return _TO + node.removeprefix(_FROM) if node.startswith(_FROM) else node
    if isinstance(node, list):
        return [_moved(item) for item in cast("list[Any]", node)]
    if isinstance(node, dict):
        return {key: _moved(value) for key, value in cast("Schema", node).items()}
    return node
