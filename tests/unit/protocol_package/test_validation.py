"""Failed decodes told as `{path, expected}`: every form msgspec's messages take."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from sidestep_protocol.methods import METHODS, Method, find_method
from sidestep_protocol.validation import invalid_params_data


def problem_of(method: Method | None, raw: bytes) -> Exception:
    assert method is not None
    try:
        method.decode_params(raw)
    except (msgspec.MsgspecError, ValueError, RecursionError) as problem:
        return problem
    raise AssertionError(f"{raw!r} was accepted")


@pytest.mark.parametrize(
    ("method", "raw", "path", "expected"),
    [
        ("workflow/interrupt", b"{}", "$.runId", "a value (required)"),
        ("workflow/interrupt", b"[]", "$", "`object`"),
        ("workflow/interrupt", b'{"runId":7}', "$.runId", "`str`"),
        ("workflow/interrupt", b'{"runId":null}', "$.runId", "`str`"),
        ("workflow/interrupt", b'{"runId":"r","wait":"never"}', "$.wait", "one of durable, quiescent"),
        ("workflow/start", b"{}", "$.script", "a value (required)"),
        ("workflow/start", b'{"script":{}}', "$.script", "exactly one of {name}, {uri}, {source, name?}"),
        ("workflow/start", b'{"script":{"name":[]}}', "$.script.name", "`str`"),
        ("workflow/start", b'{"script":{"name":"n"},"args":[]}', "$.args", "`object`"),
        ("workflow/start", b'{"script":{"name":"n"},"mode":"x"}', "$.mode", "one of background, foreground"),
        ("workflow/start", b'{"script":{"name":"n"},"deadlineS":0}', "$.deadlineS", "`float` > 0.0"),
        ("workflow/start", b'{"script":{"name":"n"},"workDoneToken":1.5}', "$.workDoneToken", "`int | str`"),
        ("workflow/list", b'{"limit":101}', "$.limit", "`int` <= 100"),
        ("workflow/list", b'{"status":[1]}', "$.status[0]", "`str`"),
        ("workflow/get", b'{"runId":"r","include":["x"]}', "$.include[0]", "one of args, result, source"),
        (
            "initialize",
            b'{"initializationOptions":{"agents":{"a":{"kind":"x"}}}}',
            "$.initializationOptions.agents[...].kind",
            "one of acp, cli, host",
        ),
        ("initialize", b'{"workspaceFolders":[{}]}', "$.workspaceFolders[0].uri", "a value (required)"),
    ],
)
def test_the_path_leads_to_the_value_and_says_what_belongs_there(
    method: str, raw: bytes, path: str, expected: str
) -> None:
    kind = find_method(method)
    assert kind is not None
    data = invalid_params_data(problem_of(kind, raw), kind.params)
    assert (data.reason, data.path, data.expected) == ("invalidParams", path, expected)


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (b'{"runId":', "valid UTF-8 JSON"),
        (b'{"runId":"\xff"}', "valid UTF-8 JSON"),
        (b'{"runId":"\\ud800"}', "valid UTF-8 JSON"),
        (b'{"x":' + b"[" * 200_000 + b"]" * 200_000 + b"}", "params nested less deeply"),
    ],
    ids=["cut off", "bad UTF-8", "lone surrogate", "deep"],
)
def test_what_is_no_json_is_told_too(raw: bytes, expected: str) -> None:
    """W5, W6: the typed decode is the first to read what was skipped as raw."""
    problem = problem_of(METHODS["workflow/interrupt"], raw)
    assert invalid_params_data(problem).expected == expected


@pytest.mark.parametrize(
    ("raw", "path"),
    [
        (b'{"runId":"\\ud800"}', "$.runId"),
        (b'{"runId":"\\udC00\\ud800x","wait":"x"}', "$.runId"),
        (b'{"args":{"names":["\\ud83d\\ude00","\\ud83d"]}}', "$.args.names[1]"),
        (b'{"args":{"\\udfff":1}}', "$.args"),
    ],
)
def test_half_a_surrogate_pair_is_told_from_broken_json(raw: bytes, path: str) -> None:
    """W5: JavaScript cuts texts within a character, and its JSON says so."""
    with pytest.raises(msgspec.DecodeError) as refused:
        msgspec.json.decode(raw)
    data = invalid_params_data(refused.value, None, msgspec.Raw(raw))
    assert (data.path, data.expected) == (path, "text without lone surrogates: half of a pair is no character")
    assert invalid_params_data(refused.value, None, raw + b"]").expected == "valid UTF-8 JSON"


@pytest.mark.parametrize("error", [msgspec.ValidationError(""), msgspec.ValidationError("?"), ValueError("x")])
def test_no_message_raises(error: Any) -> None:
    assert invalid_params_data(error, int).path == "$"
