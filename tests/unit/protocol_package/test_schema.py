"""What is generated from the structs: JSON Schema, OpenRPC and TypeScript; the committed files hold just that."""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jsonschema_rs
import pytest
from click.testing import CliRunner

import sidestep_protocol
from sidestep.cli.program import program
from sidestep_protocol import schema_constant
from sidestep_protocol.errors import ERROR_CODES, ERROR_DATA, ErrorData
from sidestep_protocol.events import EVENT_TYPES
from sidestep_protocol.methods import LSP_METHODS, METHODS, Direction, Method
from sidestep_protocol.runs import RUN_STATUSES
from sidestep_protocol.schema import (
    compute_schema_hash,
    contract_text,
    schema_document,
    schema_hash,
    schema_text,
    without_descriptions,
)
from sidestep_protocol.schema_comments import read_comments
from sidestep_protocol.schema_openrpc import openrpc_document, openrpc_text
from sidestep_protocol.schema_typescript import type_of, typescript_text
from tests.docs.documents import CONTRACT, Fence, fences

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ROOT = Path(sidestep_protocol.__file__).parents[1]
FILES: dict[str, tuple[str, Callable[[], str]]] = {
    "sidestep.schema.json": ("--json", schema_text),
    "openrpc.json": ("--openrpc", openrpc_text),
    "sidestep.d.ts": ("--ts", typescript_text),
}
ALL_METHODS = {**METHODS, **LSP_METHODS}
AT = "2026-01-31T09:30:00.125Z"

DOCUMENT = schema_document()
OPENRPC = openrpc_document(DOCUMENT)
TYPESCRIPT = typescript_text()


# The files


@pytest.mark.parametrize("name", FILES)
def test_the_committed_file_is_the_generated_one(name: str) -> None:
    """`UPDATE_GOLDEN=1` writes it again; the difference is then one of the contract, to be reviewed as such."""
    path = ROOT / "schema" / name
    text = FILES[name][1]()
    if os.environ.get("UPDATE_GOLDEN"):
        path.write_text(text, encoding="utf-8")
    assert path.read_text(encoding="utf-8") == text, "rewrite with UPDATE_GOLDEN=1, then read the difference"


@pytest.mark.parametrize("name", FILES)
def test_the_command_prints_the_file(name: str) -> None:
    option, generate = FILES[name]
    done = CliRunner().invoke(program, ["schema", option])
    assert done.exit_code == 0, done.output
    assert done.stdout == generate()


def test_the_command_prints_json_schema_when_nothing_is_said() -> None:
    assert CliRunner().invoke(program, ["schema"]).stdout == schema_text()


def test_the_kept_hash_is_the_schemas() -> None:
    """`UPDATE_GOLDEN=1` writes it again, for the next process to read."""
    path = Path(schema_constant.__file__)
    kept = f'SCHEMA_HASH = "{compute_schema_hash()}"'
    if os.environ.get("UPDATE_GOLDEN"):
        path.write_text(re.sub(r'SCHEMA_HASH = ".*"', kept, path.read_text(encoding="utf-8")), encoding="utf-8")
    assert kept in path.read_text(encoding="utf-8"), "rewrite with UPDATE_GOLDEN=1"
    if not os.environ.get("UPDATE_GOLDEN"):
        assert schema_hash() == compute_schema_hash()


def test_the_hash_is_the_checksum_of_the_contract_whatever_its_descriptions_say() -> None:
    """A host can make it with any tool: SHA-256 of `version-1.json`, byte for byte, once that file holds everything."""
    assert compute_schema_hash() == hashlib.sha256(contract_text().encode()).hexdigest()
    assert "May be left out" in schema_text()
    assert "May be left out" not in contract_text()


def test_two_generations_are_equal() -> None:
    assert schema_document() == DOCUMENT
    assert typescript_text() == TYPESCRIPT


# JSON Schema


def validator(schema: Any) -> jsonschema_rs.Validator:
    return jsonschema_rs.validator_for({**schema, "$schema": DOCUMENT["$schema"], "$defs": DOCUMENT["$defs"]})


def test_the_document_is_json_schema() -> None:
    assert jsonschema_rs.meta.is_valid(DOCUMENT)


def everywhere(node: Any) -> Iterator[tuple[str, Any]]:
    """Every key of a document with its value."""
    if isinstance(node, dict):
        for key, value in node.items():
            yield key, value
            yield from everywhere(value)
    elif isinstance(node, list):
        for item in node:
            yield from everywhere(item)


@pytest.mark.parametrize("document", [DOCUMENT, OPENRPC], ids=["schema", "openrpc"])
def test_every_reference_leads_somewhere(document: dict[str, Any]) -> None:
    references = {value for key, value in everywhere(document) if key == "$ref" and isinstance(value, str)}
    assert references
    for reference in references:
        found: Any = document
        for part in reference.removeprefix("#/").split("/"):
            found = found[part]


def test_the_document_has_every_method_with_its_types() -> None:
    assert list(DOCUMENT["methods"]) == list(ALL_METHODS)
    for name, method in ALL_METHODS.items():
        described = DOCUMENT["methods"][name]
        assert described["direction"] == method.direction.value
        assert described["kind"] == method.kind.value
        assert described["params"] == {"$ref": f"#/$defs/{method.params.__name__}"}
        assert ("result" in described) == method.is_request
    start = DOCUMENT["methods"]["workflow/start"]
    assert [start[part]["$ref"] for part in ("result", "backgroundResult")] == [
        "#/$defs/RunOutcome",
        "#/$defs/RunStarted",
    ]
    assert DOCUMENT["methods"]["shutdown"]["result"] == {"type": "null"}


def test_the_document_has_every_error_with_its_data() -> None:
    assert {reason: error["code"] for reason, error in DOCUMENT["errors"].items()} == ERROR_CODES
    for reason, error in DOCUMENT["errors"].items():
        assert error["data"] == {"$ref": f"#/$defs/{ERROR_DATA.get(reason, ErrorData).__name__}"}


@pytest.mark.parametrize("fence", fences(CONTRACT, "json"), ids=str)
def test_an_example_of_the_contract_fits_the_schema(fence: Fence) -> None:
    _, kind, name = fence.info
    value = json.loads(fence.body)
    if kind == "error":
        assert validator(DOCUMENT["errors"][name]["data"]).is_valid(value["data"])
        return
    method = DOCUMENT["methods"][name]
    schemas = [
        method[part] for part in ([kind] if kind == "params" else ["result", "backgroundResult"]) if part in method
    ]
    assert validator({"anyOf": schemas}).is_valid(value)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("StartParams", {"script": {"name": "a"}, "mode": "later"}),
        ("StartParams", {}),
        ("StartParams", {"script": {"name": "a"}, "deadlineS": 0}),
        ("ListParams", {"limit": 101}),
        ("RunStarted", {"runId": "r", "status": "pending", "sequence": 1}),
        ("RunStarted", {"runId": "r", "status": "pending", "sequence": -1, "created": True}),
        ("ListResult", {"runs": [], "nextCursor": 3}),
        ("Event", {"type": "phase", "sequence": 1, "at": AT}),
        ("Event", {"type": "brandNew", "sequence": "1", "at": AT}),
    ],
)
def test_what_does_not_fit_is_refused(name: str, value: Any) -> None:
    assert not validator({"$ref": f"#/$defs/{name}"}).is_valid(value)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        # Values and types of a newer server.
        ("RunStarted", {"runId": "r", "status": "brandNew", "sequence": 1, "created": True, "more": 1}),
        ("Event", {"type": "brandNew", "sequence": 1, "at": AT, "colour": "red"}),
        ("ListResult", {"runs": [], "nextCursor": None}),
        ("StartParams", {"script": {"name": "a"}, "args": {"any": [1, None]}}),
    ],
)
def test_what_may_come_is_accepted(name: str, value: Any) -> None:
    assert validator({"$ref": f"#/$defs/{name}"}).is_valid(value)


def test_named_types_are_referred_to_by_name() -> None:
    properties = DOCUMENT["$defs"]["RunSummary"]["properties"]
    assert properties["status"] == {"$ref": "#/$defs/RunStatus"}
    assert properties["createdAt"] == {"$ref": "#/$defs/Timestamp"}
    assert DOCUMENT["$defs"]["RunStatus"]["x-known-values"] == list(RUN_STATUSES)
    assert DOCUMENT["$defs"]["EventsResult"]["properties"]["events"]["items"] == {"$ref": "#/$defs/Event"}
    mode = DOCUMENT["$defs"]["StartParams"]["properties"]["mode"]
    assert mode == {"$ref": "#/$defs/Mode", "default": "foreground"}


def test_events_are_told_apart_by_their_type() -> None:
    event = DOCUMENT["$defs"]["Event"]
    assert event["discriminator"]["propertyName"] == "type"
    assert list(event["discriminator"]["mapping"]) == list(EVENT_TYPES)
    assert len(event["anyOf"]) == len(EVENT_TYPES) + 1


# Descriptions


def test_every_struct_says_what_it_is() -> None:
    silent = [
        name for name, schema in DOCUMENT["$defs"].items() if "properties" in schema and not schema.get("description")
    ]
    assert silent == []


def test_the_comment_above_a_field_is_its_description() -> None:
    definitions = DOCUMENT["$defs"]
    assert definitions["StartParams"]["properties"]["workspaceFolder"]["description"].startswith("May be left out")
    # Inherited, beside a reference, and of an alias.
    assert definitions["RunDetail"]["properties"]["pending"] == definitions["RunSummary"]["properties"]["pending"]
    assert definitions["RunDetail"]["properties"]["owner"]["description"].startswith("Absent when nobody")
    assert definitions["Sequence"]["description"].startswith("Position in a run's journal")


def test_no_description_tells_what_concerns_python_alone() -> None:
    told = [value for key, value in everywhere(DOCUMENT) if key == "description" and isinstance(value, str)]
    assert len(told) > 100
    assert [text for text in told if "Raises:" in text or "noqa" in text] == []


def test_comments_are_read_from_right_above_a_name() -> None:
    source = (
        "# Not this.\n\n# An alias,\n# in two lines.\nMode = str\n\n"
        "class Run:\n    '''Doc.'''\n    a: int\n    # Of b.\n    b: int  # Nor this.\n    c: int = 3\n"
    )
    assert read_comments(source) == {"Mode": "An alias, in two lines.", "Run.b": "Of b."}


def test_the_contract_has_no_descriptions_and_keeps_fields_of_that_name() -> None:
    contract = without_descriptions(DOCUMENT)
    assert contract == json.loads(contract_text())
    assert "description" not in contract["$defs"]["ScriptInfo"]
    properties = contract["$defs"]["ScriptInfo"]["properties"]
    assert properties["description"] == {"type": "string"}
    assert contract["$defs"]["Choice"]["properties"]["title"] == {"type": "string"}
    assert {"code", "data"} == contract["errors"]["internal"].keys()
    words = [value for key, value in everywhere(contract) if key in ("title", "description")]
    assert not any(isinstance(value, str) for value in words)


# OpenRPC

RPC_METHODS = {method["name"]: method for method in OPENRPC["methods"]}


@pytest.mark.parametrize("method", ALL_METHODS.values(), ids=ALL_METHODS)
def test_openrpc_has_the_method(method: Method) -> None:
    described = RPC_METHODS[method.name]
    assert described["x-direction"] == method.direction.value
    assert ("result" in described) == method.is_request
    assert ("errors" in described) == (method.is_request and method.direction is Direction.CLIENT_TO_SERVER)
    names = [param["name"] for param in described["params"]]
    assert sorted(names) == sorted(method.params.__struct_encode_fields__)
    needed = [param["required"] for param in described["params"]]
    assert needed == sorted(needed, reverse=True), "OpenRPC wants required params first"
    assert {name for name, wanted in zip(names, needed, strict=True) if wanted} == set(
        DOCUMENT["$defs"][method.params.__name__]["required"]
    )
    assert described["paramStructure"] == "by-name"


def test_openrpc_says_both_answers_of_a_start() -> None:
    schema = RPC_METHODS["workflow/start"]["result"]["schema"]
    assert [form["$ref"].rpartition("/")[2] for form in schema["anyOf"]] == ["RunOutcome", "RunStarted"]


def test_openrpc_has_each_code_once_and_every_reason_under_its_code() -> None:
    errors = OPENRPC["components"]["errors"].values()
    codes = [error["code"] for error in errors]
    assert len(codes) == len(set(codes))
    reasons = {
        form["allOf"][1]["properties"]["reason"]["const"]: error["code"]
        for error in errors
        for form in error["data"]["oneOf"]
    }
    assert reasons == ERROR_CODES


def test_openrpc_describes_a_method_by_its_params_or_else_by_its_result() -> None:
    assert RPC_METHODS["workflow/interrupt"]["description"].startswith("`workflow/interrupt`")
    assert RPC_METHODS["workflow/health"]["description"].startswith("How the server is")
    assert "description" not in RPC_METHODS["exit"]
    params = {param["name"]: param for param in RPC_METHODS["workflow/start"]["params"]}
    assert params["startKey"]["description"].startswith("Unique per folder")
    assert "description" not in params["startKey"]["schema"]


# TypeScript


def interface(name: str) -> str:
    found = re.search(rf"^export interface {name} {{\n(.*?)^}}$", TYPESCRIPT, re.MULTILINE | re.DOTALL)
    assert found is not None, name
    return found[1]


@pytest.mark.parametrize(
    ("prefix", "table"), [("Workflow", METHODS), ("Lsp", LSP_METHODS)], ids=["workflow/*", "the rest"]
)
def test_every_method_is_in_the_map_of_its_direction(prefix: str, table: dict[str, Method]) -> None:
    sides = {
        "Requests": (True, Direction.CLIENT_TO_SERVER),
        "Notifications": (False, Direction.SERVER_TO_CLIENT),
        "ServerRequests": (True, Direction.SERVER_TO_CLIENT),
        "ClientNotifications": (False, Direction.CLIENT_TO_SERVER),
    }
    for name, (is_request, direction) in sides.items():
        listed = re.findall(r'^  "?([^":]+)"?: {', interface(prefix + name), re.MULTILINE)
        wanted = [
            m.name for m in table.values() if m.is_request is is_request and m.direction in (direction, Direction.BOTH)
        ]
        assert listed == wanted, name


def test_a_method_leads_to_its_params_and_results() -> None:
    assert '"workflow/start": { params: StartParams; result: RunOutcome | RunStarted };' in interface(
        "WorkflowRequests"
    )
    assert "shutdown: { params: Empty; result: null };" in interface("LspRequests")
    assert '"workflow/deleted": { params: DeletedNotification };' in interface("WorkflowNotifications")


def test_optional_fields_are_optional_and_nullable_ones_are_not() -> None:
    assert "  script: ScriptRef;\n" in interface("StartParams")
    assert "  label?: string;\n" in interface("StartParams")
    assert "  nextCursor: string | null;\n" in interface("ListResult")


def test_what_hosts_send_is_closed_and_what_the_server_sends_is_open() -> None:
    assert 'export type Mode = "background" | "foreground";\n' in TYPESCRIPT
    assert 'export type Attention = "blocking" | "notifyOnTerminal" | (string & {});\n' in TYPESCRIPT


def test_the_union_of_events_can_be_narrowed() -> None:
    """An event of any other type in it would keep compilers from telling the others apart."""
    (members,) = re.findall(r"^export type Event =\n(.*?);$", TYPESCRIPT, re.MULTILINE | re.DOTALL)
    names = re.findall(r"\| (\w+)", members)
    assert [re.findall(r'  type: "(\w+)";', interface(name)) for name in names] == [[kind] for kind in EVENT_TYPES]
    assert "  type: string;\n" in interface("UnknownEvent")


def test_errors_lead_from_a_reason_to_code_and_data() -> None:
    errors = interface("Errors")
    assert "  runLeased: { code: -31004; data: RunLeasedData };\n" in errors
    assert len(errors.splitlines()) == len(ERROR_CODES)


def test_every_type_that_is_used_is_declared_once() -> None:
    declared = re.findall(r"^export (?:interface|type) (\w+)", TYPESCRIPT, re.MULTILINE)
    assert len(declared) == len(set(declared))
    code = re.sub(r"/\*\*.*?\*/|//[^\n]*|\"[^\"]*\"", "", TYPESCRIPT, flags=re.DOTALL)
    used = set(re.findall(r"\b[A-Z]\w+\b", code))
    assert used - set(declared) <= {"Record", "Array"}


def test_comments_stand_above_types_and_fields() -> None:
    assert "/** One run in full; `args`, `result` and `source` only when `include` names them. */\n" in TYPESCRIPT
    assert "   * Limits: at least 1, at most 100.\n   * @default 50\n   */\n  limit?: number;\n" in interface(
        "ListParams"
    )


@pytest.mark.parametrize(
    ("schema", "told"),
    [
        ({}, "unknown"),
        ({"description": "d", "default": 1}, "unknown"),
        ({"type": "array", "items": {"anyOf": [{"type": "integer"}, {"type": "null"}]}}, "Array<number | null>"),
        ({"type": "array", "items": {"$ref": "#/$defs/A"}}, "A[]"),
        ({"type": "object", "additionalProperties": {"type": "number"}}, "Record<string, number>"),
        ({"type": "object"}, "Record<string, unknown>"),
    ],
)
def test_a_schema_in_typescript(schema: Any, told: str) -> None:
    assert type_of(schema) == told


@pytest.mark.parametrize("schema", [{"type": "decimal"}, {"oneOf": []}, {"type": ["string", "null"]}])
def test_a_schema_of_an_unknown_kind_is_not_guessed(schema: Any) -> None:
    with pytest.raises(ValueError, match="no TypeScript"):
        type_of(schema)


# What it costs


@pytest.mark.slow
def test_the_hash_costs_a_server_no_generator() -> None:
    """`serve` asks for it before its first reply."""
    asked = "from sidestep_protocol.schema import schema_hash; schema_hash(); import sys; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", asked],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    loaded = set(done.stdout.split())
    assert "sidestep_protocol.schema" in loaded
    generators = {f"sidestep_protocol.schema_{name}" for name in ("comments", "openrpc", "typescript", "compatibility")}
    assert loaded & generators == set()
