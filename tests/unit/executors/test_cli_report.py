"""From what a program printed to a reply: programs print what they like, and nothing of it is an error of ours."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sidestep.executors.cli_report import CannotReport, last_document, read_report_file, reply_of
from sidestep.model.agent_settings import AgentSettings
from sidestep.model.agents import AgentReply
from sidestep.model.run import FailureCode
from sidestep.model.usage import Usage

if TYPE_CHECKING:
    from pathlib import Path

TEXT = AgentSettings(kind="cli", command="x")
JSON = AgentSettings(kind="cli", command="x", output_format="json", report_field="result", error_field="error")


def with_usage(**paths: str | tuple[str, ...]) -> AgentSettings:
    pairs = tuple((name, (path,) if isinstance(path, str) else path) for name, path in paths.items())
    return AgentSettings(kind="cli", command="x", output_format="json", report_field="result", usage=pairs)


def usage_of(document: dict[str, Any], **paths: str | tuple[str, ...]) -> Usage | None:
    return reply_of(with_usage(**paths), json.dumps({"result": "r", **document}), None).usage


@pytest.mark.parametrize(
    ("printed", "document"),
    [
        ('{"a": 1}', {"a": 1}),
        ('\n {"a": 1}\n\n', {"a": 1}),
        ('Warning: {old}\n{"a": 1}\n', {"a": 1}),
        ('{"a": 1}\n{"a": 2}\nbye\n', {"a": 2}),
        ('notice {\n{\n  "a": {\n    "b": "}"\n  }\n}\n', {"a": {"b": "}"}}),
        ('{"first": 1}\n{\n "a": 1\n}', {"a": 1}),
        ('{not json}\n{"a": 1}\n{nor this}', {"a": 1}),
        ("[1]", None),
        ("", None),
        ("{", None),
        ("{'a': 1}", None),
        ('{"a": ' * 100_000 + "1" + "}" * 100_000, None),
    ],
)
def test_the_last_object_counts_whatever_is_printed_around_it(printed: str, document: dict[str, Any] | None) -> None:
    assert last_document(printed) == document


@pytest.mark.slow
@settings(max_examples=200, deadline=None)
@given(st.text(alphabet='{}[]":,\n a1', max_size=60))
def test_no_output_raises(printed: str) -> None:
    document = last_document(printed)
    assert document is None or isinstance(document, dict)


def test_a_report_is_trimmed_and_must_say_something() -> None:
    assert reply_of(TEXT, "\n done \n", None) == AgentReply(text="done")
    assert reply_of(TEXT, "chatter", " the file\n") == AgentReply(text="the file")
    for printed, written in ((" \n", None), ("chatter", "\n")):
        with pytest.raises(CannotReport, match="without a report") as cannot:
            reply_of(TEXT, printed, written)
        assert cannot.value.code is FailureCode.STEP


def test_a_report_that_is_no_text_is_given_as_json() -> None:
    assert reply_of(JSON, '{"result": {"ü": [1]}}', None).text == '{"ü": [1]}'


@pytest.mark.parametrize("error", ["null", "false", '""', "{}", "0"])
def test_what_means_no_error_is_none(error: str) -> None:
    assert reply_of(JSON, f'{{"result": "r", "error": {error}}}', None).text == "r"


def test_an_error_is_told_by_the_report_or_else_by_itself() -> None:
    with pytest.raises(CannotReport, match="says that it failed: 'out of credit'"):
        reply_of(JSON, '{"result": "out of credit", "error": true}', None)
    with pytest.raises(CannotReport, match="quota"):
        reply_of(JSON, '{"error": {"message": "quota"}}', None)


def test_with_a_file_json_gives_only_usage_and_error() -> None:
    ways = AgentSettings(kind="cli", command="x", output_format="json", usage=(("output_tokens", ("n",)),))
    assert reply_of(ways, '{"n": 7}', "report") == AgentReply(text="report", usage=Usage(output_tokens=7))


def test_usage_is_summed_over_paths_positions_and_stars() -> None:
    document = {"models": {"a": {"in": 1}, "b": {"in": 2}}, "turns": [{"n": 5}, {"n": 6}], "cost": 0.1}
    assert usage_of(
        document, input_tokens=("models.*.in", "turns.1.n"), output_tokens="turns.*.n", cost_usd="cost"
    ) == Usage(9, 11, 100_000)


@pytest.mark.parametrize("value", ["12", True, None, -1, 1e300, {"a": 1}, [1]])
def test_what_is_no_number_of_tokens_is_not_said(value: Any) -> None:
    assert usage_of({"n": value}, input_tokens="n") is None
    assert usage_of({"n": value, "m": 2}, input_tokens="n", output_tokens="m") == Usage(0, 2)


def test_numbers_json_does_not_know_are_not_said() -> None:
    for value in ("NaN", "Infinity", "1e999"):
        assert reply_of(with_usage(cost_usd="n"), f'{{"result": "r", "n": {value}}}', None).usage is None


def test_a_path_that_leads_nowhere_is_not_said() -> None:
    document = {"a": [1], "b": {"": 3}}
    for path in ("a.1", "a.-1", "a.x", "a.²", "b.c", "b.c.d", "a.0.b", "..", "c"):
        assert usage_of(document, input_tokens=path) is None, path
    assert usage_of(document, input_tokens="a.0") == Usage(1)


def test_a_report_file_is_read_bounded(tmp_path: Path) -> None:
    file = tmp_path / "report"
    file.write_bytes(b"\xffok")
    assert read_report_file(str(file), 3) == "\ufffdok"
    with pytest.raises(CannotReport) as cannot:
        read_report_file(str(file), 2)
    assert cannot.value.code is FailureCode.LIMIT
    with pytest.raises(CannotReport, match="something else than a file"):
        read_report_file(str(tmp_path), 2)
