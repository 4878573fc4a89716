"""The contract (protocol/README.md) and the code say the same: methods, fields, errors, limits, examples."""

from __future__ import annotations

import ast
import functools
import json
from typing import Any

import msgspec
import pytest

from sidestep.lsp.connection import FEATURES
from sidestep.lsp.method_table import ADMISSIONS
from sidestep.settings import Settings
from sidestep_protocol import runs, tasks
from sidestep_protocol.errors import ERROR_CODES, ERROR_DATA, ErrorData, ResponseError
from sidestep_protocol.events import EVENT_TYPES, Event
from sidestep_protocol.methods import METHODS, Direction, Method, find_method
from tests.docs.documents import CONTRACT, ROOT, Fence, code_spans, fences, sections, table_rows, text_of

NOT_SERVED = "Declared, not served by this version."

TYPES: list[type[msgspec.Struct]] = [
    runs.RunOutcome,
    runs.RunStarted,
    runs.RunResult,
    runs.ErrorInfo,
    runs.StepCounts,
    runs.RunSummary,
    runs.RunDetail,
    runs.StepSummary,
    runs.Usage,
    runs.Kept,
    runs.ScriptInfo,
    runs.Diagnostic,
    runs.Problem,
    tasks.Interaction,
]


@functools.cache
def served_methods() -> set[str]:
    """What a host may send or is sent: the routes, and what the server names where it speaks to the host."""
    served = set(ADMISSIONS)
    for path in (ROOT / "server/sidestep/lsp").glob("*.py"):
        for node in ast.walk(ast.parse(path.read_bytes())):
            if isinstance(node, ast.Call):
                words = [argument.value for argument in node.args if isinstance(argument, ast.Constant)]
                named = {word for word in words if isinstance(word, str) and word in METHODS}
                is_heard = isinstance(node.func, ast.Name) and node.func.id == "NotificationRoute"
                served |= {word for word in named if is_heard or METHODS[word].direction is Direction.SERVER_TO_CLIENT}
    return served


def field_names(struct: type[msgspec.Struct]) -> set[str]:
    return set(struct.__struct_encode_fields__)


def named_in(text: str) -> set[str]:
    """Every name in backticks, without the mark of an optional one."""
    return {span.rstrip("?") for span in code_spans(text)}


@pytest.mark.parametrize("method", METHODS)
def test_every_method_has_a_section(method: str) -> None:
    assert method in sections(CONTRACT)


def test_no_section_describes_a_method_that_is_not_declared() -> None:
    described = {title for title in sections(CONTRACT) if title.startswith(("workflow/", "$/"))}
    assert {title for title in described if find_method(title) is None} == set()


@pytest.mark.parametrize("method", METHODS)
def test_a_section_says_whether_the_method_is_served(method: str) -> None:
    assert (NOT_SERVED not in sections(CONTRACT)[method]) == (method in served_methods())


@pytest.mark.parametrize("method", METHODS.values(), ids=METHODS)
def test_a_section_names_every_field_of_params_and_result(method: Method) -> None:
    section = sections(CONTRACT)[method.name]
    wanted = field_names(method.params)
    for result in (method.result, method.background_result):
        if result is None:
            continue
        if result in TYPES:
            assert result.__name__ in section, f"the section names its result, {result.__name__}"
        else:
            wanted |= field_names(result)
    assert wanted - named_in(section) == set()


@pytest.mark.parametrize("method", sorted(served_methods()))
def test_a_served_method_has_an_example_of_its_params_and_its_result(method: str) -> None:
    assert fences(CONTRACT, "json", "params", method)
    assert bool(fences(CONTRACT, "json", "result", method)) == METHODS[method].is_request


@pytest.mark.parametrize("struct", TYPES, ids=lambda struct: struct.__name__)
def test_a_type_has_a_section_that_names_its_fields(struct: type[msgspec.Struct]) -> None:
    found = sections(CONTRACT)
    section = found[struct.__name__]
    if struct is runs.RunDetail:
        section += found["RunSummary"]
    assert field_names(struct) - named_in(section) == set()


def test_the_table_of_events_names_every_type_and_field() -> None:
    rows = {named_in(row[0]).pop(): named_in(row[2]) for row in table_rows(sections(CONTRACT)["Events"])}
    assert set(rows) == set(EVENT_TYPES)
    for struct in Event.__args__:
        kind = struct.__struct_config__.tag
        if kind in rows:
            assert field_names(struct) - {"sequence", "at"} == rows[kind], kind


def test_the_table_of_errors_is_the_code_table() -> None:
    rows = {row[0].strip("`"): int(row[1]) for row in table_rows(sections(CONTRACT)["Errors"])}
    assert rows == ERROR_CODES


@pytest.mark.parametrize("reason", ERROR_DATA)
def test_the_table_of_errors_names_the_data_of_a_reason(reason: str) -> None:
    (row,) = [row for row in table_rows(sections(CONTRACT)["Errors"]) if row[0] == f"`{reason}`"]
    told = named_in(row[3])
    if reason == "requestCancelled":
        told = named_in(sections(CONTRACT)["Cancellation"]) | {
            word.partition(":")[0] for word in named_in(sections(CONTRACT)["Cancellation"])
        }
    assert field_names(ERROR_DATA[reason]) - {"reason"} - told == set()


def test_the_limits_are_those_that_initialize_announces() -> None:
    settings = Settings()
    announced = {
        "messageBytesMax": settings.message_bytes_max,
        "scriptBytesMax": settings.script_bytes_max,
        "argsBytesMax": settings.args_bytes_max,
        "stepOutputBytesMax": settings.step_output_bytes_max,
        "requestsInFlightMax": settings.requests_in_flight_max,
        "activeRunsMax": settings.active_runs_max,
    }
    told = {row[0].strip("`"): int(row[1]) for row in table_rows(sections(CONTRACT)["Limits"])}
    assert told == announced


def test_the_features_are_those_that_initialize_announces() -> None:
    (row,) = [row for row in table_rows(sections(CONTRACT)["initialize"]) if row[0] == "`features`"]
    assert tuple(code_spans(row[1])) == FEATURES


def test_the_bound_of_a_commands_streams_is_that_of_the_settings() -> None:
    kept = Settings().command_stream_bytes_max // 1024
    assert f"the last {kept} KiB each are kept" in sections(CONTRACT)["Limits"]


@pytest.mark.parametrize("fence", fences(CONTRACT, "json"), ids=str)
def test_an_example_decodes_as_what_it_says_it_is(fence: Fence) -> None:
    assert len(fence.info) == 3, "an example says what it is: json, params or result or error, and of what"
    _, kind, name = fence.info
    plain = json.loads(fence.body)
    if kind == "error":
        error = msgspec.json.decode(fence.body, type=ResponseError)
        assert error.code == ERROR_CODES[name]
        assert error.reason == name
        assert unknown_fields(plain["data"], msgspec.convert(error.data, ERROR_DATA.get(name, ErrorData))) == []
        return
    method = find_method(name)
    assert method is not None, name
    decode = {"params": method.decode_params, "result": method.decode_result}[kind]
    assert unknown_fields(plain, decode(fence.body.encode())) == []


def test_an_example_with_a_misspelt_field_would_be_noticed() -> None:
    method = METHODS["workflow/list"]
    page = json.loads(fences(CONTRACT, "json", "result", "workflow/list")[0].body)
    page["runs"][0]["colour"] = "red"
    assert unknown_fields(page, method.decode_result(json.dumps(page).encode())) == ["$.runs[0].colour"]


def unknown_fields(plain: Any, decoded: Any, path: str = "$") -> list[str]:
    """Fields of an example that decoding passed over, because the struct does not have them."""
    if isinstance(decoded, msgspec.Struct):
        names = dict(zip(decoded.__struct_encode_fields__, decoded.__struct_fields__, strict=True))
        tag = decoded.__struct_config__.tag_field
        strange = [f"{path}.{key}" for key in plain if key not in names and key != tag]
        for key in plain.keys() & names.keys():
            strange += unknown_fields(plain[key], getattr(decoded, names[key]), f"{path}.{key}")
        return strange
    if isinstance(decoded, list) and isinstance(plain, list):
        pairs = zip(plain, decoded, strict=True)
        return [name for i, (a, b) in enumerate(pairs) for name in unknown_fields(a, b, f"{path}[{i}]")]
    return []


def test_the_contract_names_no_method_that_does_not_exist() -> None:
    spans = {span.partition(" ")[0] for span in code_spans(text_of(CONTRACT))}
    methods = {span for span in spans if span.startswith("workflow/") and span != "workflow/*"}
    assert {name for name in methods if find_method(name) is None} == set()
