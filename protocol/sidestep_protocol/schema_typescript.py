"""
The contract as TypeScript declarations.

Owns how a schema reads in TypeScript; every fact comes from `schema.schema_document`. The declarations have types
only: they cost nothing at run time and need no package.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

from sidestep_protocol.methods import METHODS
from sidestep_protocol.payload import KNOWN_VALUES
from sidestep_protocol.schema import Schema, schema_document

if TYPE_CHECKING:
    from collections.abc import Iterable

_HEAD = """\
// Types of the Sidestep protocol, version {version}. Generated; do not edit.
//
// What a server sends may grow: pass over fields you do not know, and keep a default branch for enumerations
// (`| (string & {{}})`) and for events of other types (`UnknownEvent`).
"""
_FORMATS = {"integer": "number", "number": "number", "string": "string", "boolean": "boolean", "null": "null"}
_UNION_COLUMNS_MAX = 90
_PLAIN_NAME = re.compile(r"^[A-Za-z_$][A-Za-z0-9_$]*$")

# Interfaces that lead from a method's name to its types: table of methods, kind, sender, and what they hold.
_MAPS = (
    ("WorkflowRequests", "workflow", "request", "client", "Requests of a host, answered by the server."),
    ("WorkflowNotifications", "workflow", "notification", "server", "What the server tells a host."),
    ("WorkflowServerRequests", "workflow", "request", "server", "Requests of the server, answered by a host."),
    ("WorkflowClientNotifications", "workflow", "notification", "client", "What a host tells the server."),
    ("LspRequests", "lsp", "request", "client", "LSP requests of a host, as far as Sidestep has types for them."),
    ("LspNotifications", "lsp", "notification", "server", "LSP notifications from the server."),
    ("LspServerRequests", "lsp", "request", "server", "LSP requests of the server, answered by a host."),
    ("LspClientNotifications", "lsp", "notification", "client", "LSP notifications from a host."),
)
_SENDERS = {"clientToServer": ("client",), "serverToClient": ("server",), "both": ("client", "server")}

_ERRORS_TAIL = """\
/** The stable word in `data.reason` of an error; a newer server may have others. */
export type ErrorReason = keyof Errors;

/** `data` of an error. Narrow it by its `reason`. */
export type KnownErrorData = { [R in ErrorReason]: Errors[R]["data"] & { reason: R } }[ErrorReason];
"""


def typescript_text() -> str:
    """The declarations as their file holds them (`sidestep.d.ts`)."""
    return typescript_of(schema_document())


def typescript_of(document: Schema) -> str:
    """
    Make the declarations from the schema document.

    One type for each definition; an interface for each direction that leads from a method's name to `{params, result}`
    (`WorkflowRequests` and its like); `Errors` from a reason to `{code, data}`.
    """
    parts = [_HEAD.format(version=document["protocolVersion"])]
    parts += [_declaration(name, schema) for name, schema in document["$defs"].items()]
    parts += [_method_map(document["methods"], *wanted) for wanted in _MAPS]
    parts += [_inside(document["inside"]), _errors(document["errors"]), _ERRORS_TAIL]
    return "\n".join(parts)


def _declaration(name: str, schema: Schema) -> str:
    comment = _comment(schema.get("description", ""))
    properties: dict[str, Schema] | None = schema.get("properties")
    if properties is None:
        return f"{comment}export type {name} = {type_of(schema)};\n".replace("= \n", "=\n")
    if not properties:
        return f"{comment}export type {name} = Record<string, never>;\n"
    return f"{comment}export interface {name} {{\n{''.join(_fields(properties, schema['required']))}}}\n"


def _fields(properties: dict[str, Schema], required: list[str]) -> Iterable[str]:
    for name, schema in properties.items():
        mark = "" if name in required else "?"
        yield f"{_comment(_told(schema), '  ')}  {_key(name)}{mark}: {type_of(schema)};\n"


def _told(schema: Schema) -> str:
    """What stands above a field: its description, its bounds, its default."""
    lines = [schema["description"]] if "description" in schema else []
    bounds = {"minimum": "at least", "exclusiveMinimum": "above", "maximum": "at most", "exclusiveMaximum": "below"}
    limits = [f"{word} {schema[key]}" for key, word in bounds.items() if key in schema]
    if limits:
        lines.append(f"Limits: {', '.join(limits)}.")
    if schema.get("default") is not None:
        lines.append(f"@default {json.dumps(schema['default'])}")
    return "\n".join(lines)


def type_of(schema: Schema) -> str:
    """
    Say a schema in TypeScript.

    Raises:
        ValueError: It is of a kind that this generator has never met: teach it, rather than say something wrong.
    """
    if "$ref" in schema:
        return str(schema["$ref"]).rpartition("/")[2]
    if "anyOf" in schema:
        return _union([type_of(member) for member in _told_apart(schema)])
    if "enum" in schema:
        return _union([json.dumps(value) for value in schema["enum"]])
    if KNOWN_VALUES in schema:
        # An open enumeration: editors offer what is known, and compilers accept what is not.
        return _union([*(json.dumps(value) for value in schema[KNOWN_VALUES]), "(string & {})"])
    return _plain(schema)


def _told_apart(union: Schema) -> list[Schema]:
    """
    The members of a union; of a tagged one, those that have a tag.

    A member for every other tag (`UnknownEvent`) would keep compilers from telling the members apart.
    """
    mapping: dict[str, str] | None = union.get("discriminator", {}).get("mapping")
    return union["anyOf"] if mapping is None else [{"$ref": place} for place in mapping.values()]


def _plain(schema: Schema) -> str:
    match schema.get("type"):
        case None if not schema.keys() - {"description", "default"}:
            return "unknown"
        case "object":
            value = schema.get("additionalProperties", {})
            return f"Record<string, {type_of(value)}>"
        case "array":
            member = type_of(schema.get("items", {}))
            return f"Array<{member}>" if " " in member else f"{member}[]"
        case str(name) if name in _FORMATS:
            return _FORMATS[name]
        case _:
            raise ValueError(f"no TypeScript for {schema}")


def _union(members: list[str]) -> str:
    """On one line if it is short, else a line each."""
    line = " | ".join(members)
    return line if len(line) <= _UNION_COLUMNS_MAX else "".join(f"\n  | {member}" for member in members)


def _method_map(methods: dict[str, Schema], name: str, table: str, kind: str, sender: str, told: str) -> str:
    lines: list[str] = []
    for method, described in methods.items():
        wanted = (method in METHODS) == (table == "workflow")
        if not wanted or described["kind"] != kind or sender not in _SENDERS[described["direction"]]:
            continue
        types = f"params: {type_of(described['params'])}"
        if "result" in described:
            results = [described[key] for key in ("result", "backgroundResult") if key in described]
            types += f"; result: {' | '.join(map(type_of, results))}"
        lines.append(f"  {_key(method)}: {{ {types} }};\n")
    return f"{_comment(told)}export interface {name} {{\n{''.join(lines)}}}\n"


def _inside(places: dict[str, Schema]) -> str:
    lines = [f"  {_key(path)}: {type_of(place['schema'])};\n" for path, place in places.items()]
    return (
        f"{_comment('What stands in the places that LSP leaves open.')}export interface Inside {{\n{''.join(lines)}}}\n"
    )


def _errors(errors: dict[str, Schema]) -> str:
    lines = [
        f"  {_key(reason)}: {{ code: {error['code']}; data: {type_of(error['data'])} }};\n"
        for reason, error in errors.items()
    ]
    return f"{_comment('Reason of an error to its code and data.')}export interface Errors {{\n{''.join(lines)}}}\n"


def _key(name: str) -> str:
    return name if _PLAIN_NAME.match(name) else json.dumps(name)


def _comment(text: str, indent: str = "") -> str:
    """A doc comment; nothing for no text."""
    lines = text.replace("*/", "*\\/").splitlines()
    if len(lines) < 2:
        return f"{indent}/** {lines[0]} */\n" if lines else ""
    body = "".join(f"{indent} * {line}".rstrip() + "\n" for line in lines)
    return f"{indent}/**\n{body}{indent} */\n"
