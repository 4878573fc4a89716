"""
Says whether a change of the contract breaks hosts that were written against the contract as it was.

Owns the rules, over two schema documents (`schema.contract_text`); it sees no struct. What may be done within one
version of the protocol: add methods, optional params, fields and values of what the server sends, reasons of errors;
ask for less, and promise more.

Everything is looked at from both ends of the wire. Invariants:
- What is sent has to be accepted: a value the sender may send fits what the receiver takes, where the sender is the
  host of yesterday and the receiver the server of today, or the other way round.
- What was there stays: no field, value, form or default is lost, even where a type would allow it. A host that sends
  a field which is passed over, or waits for a value which never comes, is broken too.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, NamedTuple

from sidestep_protocol.payload import KNOWN_VALUES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sidestep_protocol.schema import Schema

# Who sends the params of a method, by its direction.
_HOST_SENDS = {"clientToServer": (True,), "serverToClient": (False,), "both": (True, False)}
# Keys that are compared by rules of their own; any other has to stay as it is.
_STRUCTURE = {"$ref", "anyOf", "discriminator", "type", "properties", "required", "additionalProperties", "items"}
_LIMITS = {"enum", "not", KNOWN_VALUES, "minimum", "exclusiveMinimum", "maximum", "exclusiveMaximum"}
# The schema that lets everything pass; one object, for schemas are told apart by their identity.
_ANYTHING: Schema = {}
_UNDERSTOOD = _STRUCTURE | _LIMITS | {"default", "title", "description"}


class ContractBroken(Exception):
    """A baseline was to be replaced by a contract that breaks hosts; `breaks` says where."""

    def __init__(self, breaks: list[str]) -> None:
        super().__init__("\n".join(["this breaks hosts of this version of the protocol:", *breaks]))
        self.breaks = breaks


def find_breaks(old: Schema, new: Schema) -> list[str]:
    """
    List what a host written against `old` would stumble over in `new`.

    Returns:
        Lines of `place: what`, each once; empty when nothing breaks. Documents of different protocol versions have
        nothing to do with each other: empty.
    """
    if old["protocolVersion"] != new["protocolVersion"]:
        return []
    comparison = _Comparison(old, new)
    found = [*_methods(comparison), *_places(comparison), *_errors(comparison)]
    return list(dict.fromkeys(found))


def advanced_baseline(old: Schema | None, new: Schema) -> Schema:
    """
    Take additions into the baseline of a version; what was added is promised from then on.

    Args:
        old: The baseline so far; None for a version that has none yet.
        new: The contract as it is.

    Raises:
        ContractBroken: `new` breaks what `old` promised. Raise the protocol version, or take the change back.
    """
    breaks = [] if old is None else find_breaks(old, new)
    if breaks:
        raise ContractBroken(breaks)
    return new


def _methods(comparison: _Comparison) -> Iterator[str]:
    for name, old in comparison.old["methods"].items():
        new = comparison.new["methods"].get(name)
        if new is None:
            yield f"{name}: the method is gone"
            continue
        if (old["direction"], old["kind"]) != (new["direction"], new["kind"]):
            yield f"{name}: was a {old['kind']} {old['direction']}, is a {new['kind']} {new['direction']}"
            continue
        for host_sends in _HOST_SENDS[old["direction"]]:
            yield from comparison.compare(f"{name} params", old["params"], new["params"], host_sends)
            for part in ("result", "backgroundResult"):
                if part in old and part not in new:
                    yield f"{name} {part}: is gone"
                elif part in old:
                    yield from comparison.compare(f"{name} {part}", old[part], new[part], not host_sends)


def _places(comparison: _Comparison) -> Iterator[str]:
    for path, old in comparison.old["inside"].items():
        new = comparison.new["inside"].get(path)
        if new is None or new["sentBy"] != old["sentBy"]:
            yield f"{path}: is gone"
        else:
            yield from comparison.compare(path, old["schema"], new["schema"], old["sentBy"] == "client")


def _errors(comparison: _Comparison) -> Iterator[str]:
    for reason, old in comparison.old["errors"].items():
        new = comparison.new["errors"].get(reason)
        if new is None:
            yield f"error {reason}: the reason is gone"
            continue
        if new["code"] != old["code"]:
            yield f"error {reason}: the code was {old['code']}, is {new['code']}"
        yield from comparison.compare(f"error {reason} data", old["data"], new["data"], False)


class _Side(NamedTuple):
    """One end of the wire: a schema, and the definitions its references mean."""

    schema: Schema
    definitions: dict[str, Schema]

    def forms(self) -> list[_Side]:
        """The members of a union, or the schema alone; no reference is left."""
        schema = self.schema
        if "$ref" in schema:
            return self.at(self.definitions[schema["$ref"].rpartition("/")[2]]).forms()
        if "anyOf" in schema:
            return [form for member in schema["anyOf"] for form in self.at(member).forms()]
        return [self]

    def at(self, schema: Schema) -> _Side:
        return _Side(schema, self.definitions)

    @property
    def identity(self) -> str | int:
        """What a schema can be recognised by within its document, which outlives the comparison."""
        return self.schema.get("$ref", id(self.schema))

    @property
    def fields(self) -> dict[str, Schema]:
        return self.schema.get("properties", {})

    @property
    def required(self) -> set[str]:
        return set(self.schema.get("required", ()))

    @property
    def is_anything(self) -> bool:
        return not self.schema.keys() - {"default", "title", "description"}

    @property
    def kind(self) -> str:
        return "string" if "enum" in self.schema else self.schema.get("type", "anything")

    @property
    def values(self) -> set[str]:
        """The values a string is known to have."""
        return {json.dumps(value) for value in self.schema.get("enum", self.schema.get(KNOWN_VALUES, ()))}

    @property
    def refused(self) -> set[str]:
        """The values a string must not have."""
        return {json.dumps(value) for value in self.schema.get("not", {}).get("enum", ())}

    @property
    def is_map(self) -> bool:
        """True for an object without named fields."""
        return "properties" not in self.schema

    def items(self) -> _Side:
        """The type of a list's elements."""
        return self.at(self.schema.get("items", _ANYTHING))

    def map_value(self) -> _Side:
        """The type of a map's values."""
        return self.at(self.schema.get("additionalProperties", _ANYTHING))

    @property
    def tag(self) -> str | None:
        """What tells an object from the others of its union: the one field with a single value."""
        for name, schema in self.fields.items():
            if len(schema.get("enum", ())) == 1:
                return f"{name}={schema['enum'][0]}"
        return None

    def least(self) -> tuple[float, bool]:
        """The lower bound, and whether it is excluded: larger is tighter."""
        schema = self.schema
        bounds = [(schema.get("minimum"), False), (schema.get("exclusiveMinimum"), True)]
        return max(((value, strict) for value, strict in bounds if value is not None), default=(float("-inf"), False))

    def most(self) -> tuple[float, bool]:
        """The upper bound, negated, and whether it is excluded: larger is tighter."""
        schema = self.schema
        bounds = [(schema.get("maximum"), False), (schema.get("exclusiveMaximum"), True)]
        return max(((-value, strict) for value, strict in bounds if value is not None), default=(float("-inf"), False))


class _Comparison:
    """Two documents, and what came out for the types compared so far: most are used in many places."""

    def __init__(self, old: Schema, new: Schema) -> None:
        self.old = old
        self.new = new
        # What each pair of schemas came to, as lines that lack the place where they begin.
        self._known: dict[tuple[str | int, str | int, bool], list[str]] = {}

    def compare(self, place: str, old: Schema, new: Schema, host_sends: bool) -> Iterator[str]:
        """Compare one value's type then and now, sent by the host or by the server."""
        return self._values(place, _Side(old, self.old["$defs"]), _Side(new, self.new["$defs"]), host_sends)

    def _values(self, place: str, old: _Side, new: _Side, host_sends: bool) -> Iterator[str]:
        key = (old.identity, new.identity, host_sends)
        if key not in self._known:
            # A type that contains itself comes by here again, and has nothing to add.
            self._known[key] = []
            self._known[key] = list(self._forms(old.forms(), new.forms(), host_sends))
        yield from (place + line for line in self._known[key])

    def _forms(self, old: list[_Side], new: list[_Side], host_sends: bool) -> Iterator[str]:
        """Each form that is sent has to be one that is taken, and no form of a tagged union may be lost."""
        sent, taken = (old, new) if host_sends else (new, old)
        for form in sent:
            alike = [other for other in taken if other.kind == form.kind]
            candidates = [other for other in alike if other.tag == form.tag] or alike or taken
            pairs = [(form, other) if host_sends else (other, form) for other in candidates]
            yield from min((list(self._form(*pair, host_sends)) for pair in pairs), key=len)
        if len(old) > 1:
            tags = {form.tag for form in new}
            yield from (f": the form {form.tag} is gone" for form in old if form.tag and form.tag not in tags)

    def _form(self, old: _Side, new: _Side, host_sends: bool) -> Iterator[str]:
        sent, taken = (old, new) if host_sends else (new, old)
        if taken.is_anything:
            return
        if sent.kind != taken.kind and (sent.kind, taken.kind) != ("integer", "number"):
            yield f": {f'{old.kind} is refused now' if host_sends else f'may be {new.kind} now'}"
            return
        yield from _other_rules(old.schema, new.schema)
        if sent.least() < taken.least() or sent.most() < taken.most():
            yield ": the bounds changed"
        if old.kind == "string":
            yield from _strings(old, new, host_sends)
        elif old.kind == "array":
            yield from self._values("[]", old.items(), new.items(), host_sends)
        elif old.kind == "object":
            yield from self._objects(old, new, host_sends)

    def _objects(self, old: _Side, new: _Side, host_sends: bool) -> Iterator[str]:
        """Objects are of named fields (`properties`), or maps from any name to values of one type."""
        sent, taken = (old, new) if host_sends else (new, old)
        if sent.is_map and taken.is_map:
            yield from self._values("{}", old.map_value(), new.map_value(), host_sends)
        elif taken.is_map and taken.map_value().is_anything:
            return
        elif sent.is_map or taken.is_map:
            yield ": named fields and a map took each other's place"
        else:
            yield from self._fields(old, new, host_sends)

    def _fields(self, old: _Side, new: _Side, host_sends: bool) -> Iterator[str]:
        sent, taken = (old, new) if host_sends else (new, old)
        for name, was in old.fields.items():
            now = new.fields.get(name)
            if now is None:
                yield f".{name}: is gone"
                continue
            is_optional = name not in old.required | new.required
            if is_optional and ("default" in was, was.get("default")) != ("default" in now, now.get("default")):
                yield f".{name}: the default changed"
            yield from self._values(f".{name}", old.at(was), new.at(now), host_sends)
        # A field of the server's that is gone has been told above.
        for name in sorted((taken.required - sent.required) & new.fields.keys()):
            yield f".{name}: {'is required now' if host_sends else 'is not always sent any more'}"


def _strings(old: _Side, new: _Side, host_sends: bool) -> Iterator[str]:
    sent, taken = (old, new) if host_sends else (new, old)
    if "enum" in taken.schema and "enum" not in sent.schema:
        yield f": {'only some values are taken now' if host_sends else 'any value may be sent now'}"
    elif "enum" in taken.schema:
        what = "is refused now" if host_sends else "is new, and not expected"
        yield from (f": {value} {what}" for value in sorted(sent.values - taken.values))
    else:
        may_be_sent = taken.refused & sent.values if "enum" in sent.schema else taken.refused - sent.refused
        yield from (f": {value} may be sent, and is refused" for value in sorted(may_be_sent))
    if not host_sends:
        yield from (f": {value} is gone" for value in sorted(old.values - new.values))


def _other_rules(old: Schema, new: Schema) -> Iterator[str]:
    for key in sorted((old.keys() | new.keys()) - _UNDERSTOOD):
        if old.get(key) != new.get(key):
            yield f": {key} changed"
