"""
The contract as an OpenRPC 1.3 document.

Owns the shape of that document; every fact in it comes from `schema.schema_document`. OpenRPC knows methods of a
server only, so the direction of each stands in an extension (`x-direction`: clientToServer, serverToClient, both); a
notification is a method without result.
"""

from __future__ import annotations

from typing import Any, cast

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

    Params come by name, one content descriptor for each field, required ones first. Every request refers to every
    error: which of them a method answers is told by its section of the contract. OpenRPC wants an error code once, so
    reasons that share a code are one error, told apart by `data.reason`; `x-reasons` has the schema of the data of each.
    """
    definitions: dict[str, Schema] = document["$defs"]
    errors = _errors(document["errors"])
    references: list[Schema] = [{"$ref": f"#/components/errors/{name}"} for name in errors]
    moved = {
        "openrpc": OPENRPC_VERSION,
        "info": {"title": document["title"], "version": str(document["protocolVersion"])},
        "methods": [
            _method(name, method, definitions, references if "result" in method else [])
            for name, method in document["methods"].items()
        ],
        "x-inside": document["inside"],
        "components": {"schemas": definitions, "errors": errors},
    }
    return cast("Schema", _moved(moved))


def _method(name: str, method: Schema, definitions: dict[str, Schema], errors: list[Schema]) -> Schema:
    params = definitions[_name_of(method["params"])]
    result = method.get("result")
    described: Schema = {"name": name, "tags": [{"name": name.partition("/")[0]}, {"name": method["kind"]}]}
    # The shared empty params say nothing about the method.
    if params["properties"]:
        described["description"] = params["description"]
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
        described["errors"] = errors
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
            "data": {"reason": " | ".join(reasons)},
            "x-reasons": reasons,
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
