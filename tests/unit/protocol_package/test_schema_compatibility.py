"""
A host of version 1 is never broken: the contract is held against the baseline of its protocol version.

The kinds of break are tried on a small contract with every shape in both directions; the real contract is then taken
apart field by field, to see that nothing in it is out of the check's sight.
"""

from __future__ import annotations

import copy
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import sidestep_protocol
from sidestep_protocol import PROTOCOL_VERSION
from sidestep_protocol.schema import contract_text, json_text
from sidestep_protocol.schema_compatibility import ContractBroken, advanced_baseline, find_breaks

if TYPE_CHECKING:
    from collections.abc import Callable

BASELINE = Path(sidestep_protocol.__file__).parents[1] / "schema" / f"version-{PROTOCOL_VERSION}.json"
CONTRACT: dict[str, Any] = json.loads(contract_text())


def test_the_contract_breaks_no_host_of_its_version() -> None:
    """
    `UPDATE_GOLDEN=1` takes additions into the baseline and refuses breaks.

    Red for a break: take it back, or raise PROTOCOL_VERSION and serve both versions.
    """
    old = json.loads(BASELINE.read_text(encoding="utf-8")) if BASELINE.exists() else None
    if os.environ.get("UPDATE_GOLDEN"):
        BASELINE.write_text(json_text(advanced_baseline(old, CONTRACT)), encoding="utf-8")
    assert old is not None or BASELINE.exists(), "a new protocol version: UPDATE_GOLDEN=1 writes its baseline"
    assert find_breaks(old or CONTRACT, CONTRACT) == []
    assert BASELINE.read_text(encoding="utf-8") == contract_text(), "additions: UPDATE_GOLDEN=1 promises them"


def struct(required: str = "", **fields: Any) -> dict[str, Any]:
    return {"type": "object", "properties": fields, "required": required.split()}


def ref(name: str) -> dict[str, Any]:
    return {"$ref": f"#/$defs/{name}"}


TEXT = {"type": "string"}
EVENT_TYPES = ["begun", "ended"]

SMALL: dict[str, Any] = {
    "protocolVersion": 1,
    "methods": {
        # A request of the host's: In is sent by the host, Out by the server.
        "do": {
            "direction": "clientToServer",
            "kind": "request",
            "params": ref("In"),
            "result": ref("Out"),
            "backgroundResult": ref("Started"),
        },
        # Told by the server.
        "tell": {"direction": "serverToClient", "kind": "notification", "params": ref("Told")},
        # A request of the server's: Asked is sent by the server, Answered by the host.
        "ask": {
            "direction": "serverToClient",
            "kind": "request",
            "params": ref("Asked"),
            "result": ref("Answered"),
        },
        "either": {"direction": "both", "kind": "notification", "params": ref("Either")},
    },
    "inside": {
        "hello": {"sentBy": "client", "schema": ref("ClientCan")},
        "welcome": {"sentBy": "server", "schema": ref("ServerCan")},
    },
    "errors": {
        "lost": {"code": -1, "data": ref("LostData")},
        "broken": {"code": -2, "data": ref("Data")},
    },
    "$defs": {
        "In": struct(
            "name",
            name=TEXT,
            token={"anyOf": [{"type": "integer"}, TEXT, {"type": "null"}]},
            mode={"enum": ["far", "near"], "default": "far"},
            limit={"type": "integer", "minimum": 1, "maximum": 100, "default": 50},
            seconds={"type": "number", "exclusiveMinimum": 0},
            when={"type": "string", "format": "date-time"},
            include={"type": "array", "items": {"enum": ["a", "b"]}},
            environment={"type": "object", "additionalProperties": TEXT},
            where=ref("Place"),
            area={"anyOf": [ref("Area"), {"type": "null"}]},
            unit={"enum": ["metre"]},
            extra={"type": "object"},
            anything={},
        ),
        "Place": struct("line", line={"type": "integer"}),
        "Area": struct("width", width={"type": "integer"}, height={"type": "integer"}),
        "Out": struct(
            "id count cursor events",
            id=TEXT,
            count={"type": "integer", "minimum": 0},
            size={"type": "number"},
            cursor={"anyOf": [TEXT, {"type": "null"}]},
            status={"type": "string", "x-known-values": ["good", "bad"]},
            level={"enum": ["low", "high"]},
            events={"type": "array", "items": ref("Event")},
            data={},
            limits={"type": "object", "additionalProperties": {"type": "integer"}},
            label={"type": "string", "default": ""},
        ),
        "Started": struct("id", id=TEXT),
        "Event": {"anyOf": [ref("Begun"), ref("Ended"), ref("Unknown")], "discriminator": {"propertyName": "type"}},
        "Begun": struct("type", type={"enum": ["begun"]}, by=TEXT),
        "Ended": struct("type why", type={"enum": ["ended"]}, why=TEXT, code=TEXT),
        "Unknown": struct("type", type={"type": "string", "not": {"enum": EVENT_TYPES}}),
        "Told": struct("text", text=TEXT, inner=ref("Inner")),
        "Inner": struct("deep", deep=TEXT, again=ref("Inner")),
        "Asked": struct("question", question=TEXT, style=TEXT),
        "Answered": struct("answer", answer=TEXT, by=TEXT),
        "Either": struct("id", id={"anyOf": [{"type": "integer"}, TEXT]}),
        "ClientCan": struct("versions", versions={"type": "array", "items": {"type": "integer"}}),
        "ServerCan": struct("version", version={"type": "integer"}),
        "LostData": struct("reason", reason=TEXT, where=TEXT),
        "Data": struct("reason", reason=TEXT),
    },
}


def changed(change: Callable[[dict[str, Any], dict[str, Any]], object]) -> dict[str, Any]:
    """The small contract after a change, which is given the document and its definitions."""
    document = copy.deepcopy(SMALL)
    change(document, document["$defs"])
    return document


def put(kind: str, field: str, schema: Any) -> Callable[[Any, Any], None]:
    """Give a field this schema, or add it."""

    def change(_: Any, types: Any) -> None:
        types[kind]["properties"][field] = schema

    return change


def drop(kind: str, field: str) -> Callable[[Any, Any], None]:
    def change(_: Any, types: Any) -> None:
        del types[kind]["properties"][field]
        types[kind]["required"] = [name for name in types[kind]["required"] if name != field]

    return change


def require(kind: str, field: str) -> Callable[[Any, Any], None]:
    return lambda _, types: types[kind]["required"].append(field)


def relax(kind: str, field: str) -> Callable[[Any, Any], None]:
    return lambda _, types: types[kind]["required"].remove(field)


def both(*changes: Callable[[Any, Any], object]) -> Callable[[Any, Any], None]:
    def change(document: Any, types: Any) -> None:
        for one in changes:
            one(document, types)

    return change


def without_event(name: str, tag: str) -> Callable[[Any, Any], None]:
    def change(_: Any, types: Any) -> None:
        types["Event"]["anyOf"].remove(ref(name))
        types["Unknown"]["properties"]["type"]["not"]["enum"].remove(tag)

    return change


BREAKS: dict[str, tuple[Callable[[Any, Any], object], list[str]]] = {
    # Methods.
    "a method is removed": (lambda d, _: d["methods"].pop("do"), ["do: the method is gone"]),
    "a notification is removed": (lambda d, _: d["methods"].pop("tell"), ["tell: the method is gone"]),
    "a notification becomes a request": (
        lambda d, _: d["methods"]["tell"].update(kind="request", result={"type": "null"}),
        ["tell: was a notification serverToClient, is a request serverToClient"],
    ),
    "a method changes direction": (
        lambda d, _: d["methods"]["ask"].update(direction="both"),
        ["ask: was a request serverToClient, is a request both"],
    ),
    "the background answer is removed": (
        lambda d, _: d["methods"]["do"].pop("backgroundResult"),
        ["do backgroundResult: is gone"],
    ),
    "the background answer loses a field": (drop("Started", "id"), ["do backgroundResult.id: is gone"]),
    "a result becomes null": (
        lambda d, _: d["methods"]["do"].update(result={"type": "null"}),
        ["do result: may be null now"],
    ),
    # What a host sends.
    "a param is removed": (drop("In", "limit"), ["do params.limit: is gone"]),
    "a new param is required": (both(put("In", "who", TEXT), require("In", "who")), ["do params.who: is required now"]),
    "an optional param becomes required": (require("In", "mode"), ["do params.mode: is required now"]),
    "a param is retyped": (put("In", "name", {"type": "boolean"}), ["do params.name: string is refused now"]),
    "a number has to be whole": (
        put("In", "seconds", {"type": "integer", "exclusiveMinimum": 0}),
        ["do params.seconds: number is refused now"],
    ),
    "a form of a param is refused": (
        put("In", "token", {"anyOf": [{"type": "integer"}, TEXT]}),
        ["do params.token: null is refused now"],
    ),
    "a value of a param is refused": (
        put("In", "mode", {"enum": ["far"], "default": "far"}),
        ['do params.mode: "near" is refused now'],
    ),
    "a text may have some values only": (
        put("In", "name", {"enum": ["a"]}),
        ["do params.name: only some values are taken now"],
    ),
    "a lower bound is raised": (
        put("In", "limit", {"type": "integer", "minimum": 2, "maximum": 100, "default": 50}),
        ["do params.limit: the bounds changed"],
    ),
    "an upper bound is lowered": (
        put("In", "limit", {"type": "integer", "minimum": 1, "maximum": 99, "default": 50}),
        ["do params.limit: the bounds changed"],
    ),
    "an upper bound is new": (
        put("In", "seconds", {"type": "number", "exclusiveMinimum": 0, "maximum": 9}),
        ["do params.seconds: the bounds changed"],
    ),
    "a bound is excluded": (
        put("In", "limit", {"type": "integer", "exclusiveMinimum": 1, "maximum": 100, "default": 50}),
        ["do params.limit: the bounds changed"],
    ),
    "a default is another": (
        put("In", "mode", {"enum": ["far", "near"], "default": "near"}),
        ["do params.mode: the default changed"],
    ),
    "a default is gone": (put("In", "mode", {"enum": ["far", "near"]}), ["do params.mode: the default changed"]),
    "a default is new": (
        put("In", "seconds", {"type": "number", "exclusiveMinimum": 0, "default": 1}),
        ["do params.seconds: the default changed"],
    ),
    "a text has to have a format": (put("In", "name", {**TEXT, "format": "uri"}), ["do params.name: format changed"]),
    "a format is another": (put("In", "when", {**TEXT, "format": "date"}), ["do params.when: format changed"]),
    "a rule this check does not know": (
        put("In", "name", {**TEXT, "pattern": "^a"}),
        ["do params.name: pattern changed"],
    ),
    "an element is refused": (
        put("In", "include", {"type": "array", "items": {"enum": ["a"]}}),
        ['do params.include[]: "b" is refused now'],
    ),
    "a value of a map is retyped": (
        put("In", "environment", {"type": "object", "additionalProperties": {"type": "integer"}}),
        ["do params.environment{}: string is refused now"],
    ),
    "a map gets named fields": (
        put("In", "extra", ref("Place")),
        ["do params.extra: named fields and a map took each other's place"],
    ),
    "anything is something": (put("In", "anything", TEXT), ["do params.anything: anything is refused now"]),
    "a field inside a param is required": (
        both(put("Place", "column", TEXT), require("Place", "column")),
        ["do params.where.column: is required now"],
    ),
    "a field inside a param is removed": (drop("Place", "line"), ["do params.where.line: is gone"]),
    "fields inside a param that may be null are removed": (
        both(drop("Area", "width"), drop("Area", "height")),
        ["do params.area.height: is gone", "do params.area.width: is gone"],
    ),
    "a host's answer needs a new field": (
        both(put("Answered", "sure", TEXT), require("Answered", "sure")),
        ["ask result.sure: is required now"],
    ),
    "a field of a host's answer is removed": (drop("Answered", "by"), ["ask result.by: is gone"]),
    "what the client can do needs a new field": (
        both(put("ClientCan", "more", TEXT), require("ClientCan", "more")),
        ["hello.more: is required now"],
    ),
    # What the server sends.
    "a result's field is removed": (drop("Out", "count"), ["do result.count: is gone"]),
    "an optional result's field is removed": (drop("Out", "size"), ["do result.size: is gone"]),
    "a result's field is not always sent": (relax("Out", "id"), ["do result.id: is not always sent any more"]),
    "a result's field is retyped": (put("Out", "id", {"type": "integer"}), ["do result.id: may be integer now"]),
    "a result's field may be null": (
        put("Out", "id", {"anyOf": [TEXT, {"type": "null"}]}),
        ["do result.id: may be null now"],
    ),
    "a whole number may have a fraction": (
        put("Out", "count", {"type": "number", "minimum": 0}),
        ["do result.count: may be number now"],
    ),
    "a result's bound is gone": (put("Out", "count", {"type": "integer"}), ["do result.count: the bounds changed"]),
    "a known value is removed": (
        put("Out", "status", {"type": "string", "x-known-values": ["good"]}),
        ['do result.status: "bad" is gone'],
    ),
    "a closed enumeration grows": (
        put("Out", "level", {"enum": ["low", "high", "top"]}),
        ['do result.level: "top" is new, and not expected'],
    ),
    "a closed enumeration opens": (
        put("Out", "level", {"type": "string", "x-known-values": ["low", "high"]}),
        ["do result.level: any value may be sent now"],
    ),
    "a result's default is another": (
        put("Out", "label", {"type": "string", "default": "none"}),
        ["do result.label: the default changed"],
    ),
    "a result's something is anything": (put("Out", "status", {}), ["do result.status: may be anything now"]),
    "a map's value is retyped": (
        put("Out", "limits", {"type": "object", "additionalProperties": TEXT}),
        ["do result.limits{}: may be string now"],
    ),
    "an event is removed": (
        without_event("Ended", "ended"),
        [
            "do result.events[]: the form type=ended is gone",
            'do result.events[].type: "ended" may be sent, and is refused',
        ],
    ),
    "an event's field is removed": (drop("Begun", "by"), ["do result.events[].by: is gone"]),
    "an event's field is retyped": (
        put("Ended", "why", {"type": "integer"}),
        ["do result.events[].why: may be integer now"],
    ),
    "fields of an event are retyped": (
        both(put("Ended", "why", {"type": "integer"}), put("Ended", "code", {"type": "integer"})),
        ["do result.events[].code: may be integer now", "do result.events[].why: may be integer now"],
    ),
    "a told field is removed": (drop("Told", "text"), ["tell params.text: is gone"]),
    "a field deep inside is removed": (drop("Inner", "deep"), ["tell params.inner.deep: is gone"]),
    "a field of a question is not always sent": (
        relax("Asked", "question"),
        ["ask params.question: is not always sent any more"],
    ),
    "what the server can do loses a field": (drop("ServerCan", "version"), ["welcome.version: is gone"]),
    # Both.
    "a form that either side sends is removed": (
        put("Either", "id", {"type": "integer"}),
        ["either params.id: string is refused now"],
    ),
    "a form that either side sends is new": (
        put("Either", "id", {"anyOf": [{"type": "integer"}, TEXT, {"type": "null"}]}),
        ["either params.id: may be null now"],
    ),
    "a place inside is removed": (lambda d, _: d["inside"].pop("welcome"), ["welcome: is gone"]),
    "a place inside changes hands": (
        lambda d, _: d["inside"]["welcome"].update(sentBy="client"),
        ["welcome: is gone"],
    ),
    # Errors.
    "a reason is removed": (lambda d, _: d["errors"].pop("lost"), ["error lost: the reason is gone"]),
    "a code is another": (
        lambda d, _: d["errors"]["broken"].update(code=-3),
        ["error broken: the code was -2, is -3"],
    ),
    "an error's data loses a field": (drop("LostData", "where"), ["error lost data.where: is gone"]),
    "an error's data is not always sent": (
        relax("Data", "reason"),
        ["error broken data.reason: is not always sent any more"],
    ),
    "an error's data is another type": (
        lambda d, _: d["errors"]["lost"].update(data=ref("Data")),
        ["error lost data.where: is gone"],
    ),
}

ADDITIONS: dict[str, Callable[[Any, Any], object]] = {
    "nothing": lambda _, types: None,
    "a method": lambda d, _: d["methods"].update(more=d["methods"]["do"]),
    "a background answer": lambda d, _: d["methods"]["ask"].update(backgroundResult=ref("Out")),
    "an optional param": put("In", "more", TEXT),
    "a param becomes optional": relax("In", "name"),
    "a param becomes optional, with a default": both(put("In", "name", {**TEXT, "default": ""}), relax("In", "name")),
    "a param's only value gets company": put("In", "unit", {"enum": ["metre", "foot"]}),
    "a param takes more types": put("In", "name", {"anyOf": [TEXT, {"type": "null"}]}),
    "a param takes more values": put("In", "mode", {"enum": ["far", "near", "here"], "default": "far"}),
    "a param takes any text": put("In", "mode", {"type": "string", "default": "far"}),
    "a param takes fractions": put("In", "limit", {"type": "number", "minimum": 1, "maximum": 100, "default": 50}),
    "a param takes anything": put("In", "name", {}),
    "a param takes any object": put("In", "where", {"type": "object"}),
    "a bound is further": put("In", "limit", {"type": "integer", "minimum": 0, "default": 50}),
    "a result's field": both(put("Out", "more", TEXT), require("Out", "more")),
    "a result's field is always sent": require("Out", "size"),
    "a result's field is never null": put("Out", "cursor", TEXT),
    "a result's field is told more exactly": put("Out", "data", ref("Place")),
    "a result's number is always whole": put("Out", "size", {"type": "integer"}),
    "a known value": put("Out", "status", {"type": "string", "x-known-values": ["good", "bad", "ugly"]}),
    "a told field": both(put("Told", "more", TEXT), require("Told", "more")),
    "a question's field": both(put("Asked", "more", TEXT), require("Asked", "more")),
    "an optional field of an answer": put("Answered", "more", TEXT),
    "an answer's field becomes optional": relax("Answered", "answer"),
    "an event": lambda _, types: (
        types.update(Paused=struct("type", type={"enum": ["paused"]})),
        types["Event"]["anyOf"].insert(0, ref("Paused")),
        types["Unknown"]["properties"]["type"]["not"]["enum"].append("paused"),
    ),
    "an error": lambda d, _: d["errors"].update(late={"code": -2, "data": ref("Data")}),
    "an error's data": lambda d, _: d["errors"]["broken"].update(data=ref("LostData")),
    "a type has another name": lambda d, types: (
        types.update(Renamed=types["Started"]),
        d["methods"]["do"].update(backgroundResult=ref("Renamed")),
    ),
    "a description": put("In", "name", {**TEXT, "description": "Whose."}),
}


@pytest.mark.parametrize(("change", "told"), BREAKS.values(), ids=BREAKS)
def test_a_break_is_found_and_named(change: Callable[[Any, Any], object], told: list[str]) -> None:
    new = changed(change)
    assert sorted(find_breaks(SMALL, new)) == sorted(told)
    with pytest.raises(ContractBroken) as refused:
        advanced_baseline(SMALL, new)
    assert sorted(refused.value.breaks) == sorted(told)
    assert told[0] in str(refused.value)


@pytest.mark.parametrize("change", ADDITIONS.values(), ids=ADDITIONS)
def test_an_addition_breaks_nothing(change: Callable[[Any, Any], object]) -> None:
    new = changed(change)
    assert find_breaks(SMALL, new) == []
    assert advanced_baseline(SMALL, new) == new


@pytest.mark.parametrize("change", [change for change, _ in BREAKS.values()], ids=BREAKS)
def test_a_higher_version_may_break_what_it_likes(change: Callable[[Any, Any], object]) -> None:
    new = {**changed(change), "protocolVersion": 2}
    assert find_breaks(SMALL, new) == []


def test_a_version_without_baseline_begins_with_the_contract_as_it_is() -> None:
    assert advanced_baseline(None, SMALL) == SMALL


def test_what_was_added_is_promised_from_then_on() -> None:
    baseline = advanced_baseline(SMALL, changed(put("Out", "more", TEXT)))
    assert find_breaks(baseline, SMALL) == ["do result.more: is gone"]


# The real contract, taken apart


def broken(name: str, change: Callable[[Any], object]) -> list[str]:
    document = {**CONTRACT, "$defs": {**CONTRACT["$defs"], name: copy.deepcopy(CONTRACT["$defs"][name])}}
    change(document["$defs"][name])
    return find_breaks(CONTRACT, document)


def is_tag(schema: Any) -> bool:
    return len(schema.get("enum", ())) == 1


STRUCTS = {name: schema for name, schema in CONTRACT["$defs"].items() if schema.get("properties")}


@pytest.mark.parametrize("name", STRUCTS)
def test_no_field_of_the_contract_can_be_removed(name: str) -> None:
    fields = [field for field, schema in STRUCTS[name]["properties"].items() if not is_tag(schema)]

    def strip(schema: Any) -> None:
        for field in fields:
            del schema["properties"][field]
        schema["required"] = [field for field in schema["required"] if field not in fields]

    found = broken(name, strip)
    assert [field for field in fields if not any(line.endswith(f".{field}: is gone") for line in found)] == []


@pytest.mark.parametrize("name", STRUCTS)
def test_no_type_of_the_contract_can_ask_for_more_and_promise_less(name: str) -> None:
    """Who sends a type decides which of the two is a break; for every type one of them is."""
    required = STRUCTS[name]["required"]
    less = broken(name, lambda schema: schema.update(required=[]))
    if required and all(any(f".{field}: is not always" in line for line in less) for field in required):
        return

    def ask(schema: Any) -> None:
        schema["properties"]["more"] = {}
        schema["required"].append("more")

    more = broken(name, ask)
    assert any(line.endswith(".more: is required now") for line in more) or not required


@pytest.mark.parametrize("part", ["methods", "errors", "inside"])
def test_nothing_the_contract_names_can_be_removed(part: str) -> None:
    found = find_breaks(CONTRACT, {**CONTRACT, part: {}})
    assert [name for name in CONTRACT[part] if not any(name in line for line in found)] == []
