"""
What can be written at a position: primitives, their parameters, and the values those take.

Owns what is offered; how well it fits what is typed is the editor's to judge, so nothing is filtered here.
Invariant: only the text before the position decides what is asked for, so half-typed code is completed.
"""

from __future__ import annotations

import enum
import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sidestep.language.reference import (
    imported_primitives,
    parameter_documentation,
    primitive_text,
    primitives_of,
    signature_text,
)
from sidestep.language.step_id_proposals import proposed_ids
from sidestep.language.steps import readable_text
from sidestep.language.workflows import path_of_workflow
from sidestep.scripts.imports import AUTHORING, add_import
from sidestep.scripts.primitives import PRIMITIVES, Kind
from sidestep.scripts.sandbox_language import MODULES
from sidestep.scripts.signature import read_signature

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sidestep.language.document import Snapshot
    from sidestep.language.surroundings import Surroundings
    from sidestep.language.text_cursor import Bracket, TextCursor
    from sidestep.scripts.edits import Edit
    from sidestep.scripts.primitives import Primitive, PrimitiveParameter
    from sidestep.scripts.source_text import Span

_FROM = re.compile(r"from[ \t]+([\w.]*)[ \t]+import\b(.*)", re.DOTALL)
_MODULE = re.compile(r"(?:from|import)[ \t]+(?:[\w.]+[ \t]*,[ \t]*)*")
# The workflow that a call names first, and the keys of a dict before the one that is typed.
_NESTED = re.compile(r"""\(\s*(?:name_or_path\s*=\s*)?["']([^"'\n]+)["']""")
_KEY = re.compile(r"""["'](\w+)["']\s*:""")
_SWITCHES = frozenset({"check", "allow_truncated", "three_way"})


class ItemKind(enum.Enum):
    """What an item is; editors draw it."""

    FUNCTION = "function"
    PARAMETER = "parameter"
    VALUE = "value"
    FILE = "file"
    MODULE = "module"


@dataclass(frozen=True)
class Item:
    """
    One thing that can be written.

    Attributes:
        span: What `text` replaces; it ends at the position.
        documentation: Markdown.
        import_edit: What has to be added to the imports for it.
    """

    label: str
    kind: ItemKind
    span: Span
    text: str
    detail: str = ""
    documentation: str = ""
    import_edit: Edit | None = None


def complete(snapshot: Snapshot, line: int, column: int, surroundings: Surroundings) -> list[Item]:
    """Everything that can be written at a position, the likeliest first."""
    return _Completion(snapshot, snapshot.cursor(line, column), surroundings).items()


class _Completion:
    """One completion."""

    def __init__(self, snapshot: Snapshot, cursor: TextCursor, surroundings: Surroundings) -> None:
        self._snapshot = snapshot
        self._cursor = cursor
        self._surroundings = surroundings
        self._primitives = primitives_of(snapshot.text)
        start = cursor.word_start if cursor.string is None else cursor.string.start
        self._span = snapshot.span(start, cursor.offset)

    def items(self) -> list[Item]:
        cursor = self._cursor
        if cursor.in_comment or (cursor.string is not None and "\n" in self._typed):
            return []
        keys = self._argument_names()
        if keys is not None:
            return keys
        call = cursor.brackets[-1] if cursor.brackets and cursor.brackets[-1].is_call else None
        primitive = self._primitives.get(call.callee) if call is not None else None
        if cursor.string is not None:
            return self._in_string(call, primitive)
        if cursor.is_attribute or self._typed[:1].isdigit():
            return []
        imported = self._in_import()
        if imported is not None:
            return imported
        if call is not None and primitive is not None:
            if cursor.begins_value:
                values = self._values(call, primitive)
                return values or self._names()
            if cursor.begins_argument:
                is_first = call.index == 0 and not call.keywords
                parameters = self._parameters(call, primitive)
                return parameters + self._names() if is_first or primitive.positions_max is None else parameters
        return self._names()

    @property
    def _typed(self) -> str:
        return self._snapshot.source.slice(self._span)

    def _argument_names(self) -> list[Item] | None:
        """Names of a nested workflow's arguments, as keys of the dict that is being typed; None anywhere else."""
        *_, call, inner = [None, None, *self._cursor.brackets]
        if call is None or inner is None or inner.sign != "{" or not call.is_call or call.keyword != "args":
            return None
        text, string = self._snapshot.text, self._cursor.string
        primitive = self._primitives.get(call.callee)
        key_start = self._cursor.word_start if string is None else string.start - len(string.quote)
        if (
            primitive is None
            or primitive.name != "workflow"
            or text[inner.start + 1 : key_start].rstrip()[-1:] not in ("", ",")
        ):
            return None
        named = _NESTED.match(text, call.start)
        path = None if named is None else path_of_workflow(named[1], self._snapshot.folder, self._surroundings)
        source = None if path is None else self._surroundings.read(path)
        signature = None if source is None or path is None else read_signature(source, path)[0]
        given = set(_KEY.findall(text[inner.start : key_start]))
        items: list[Item] = []
        for each in signature.parameters if signature is not None else ():
            if each.name not in given:
                value = each.name if string is not None else f'"{each.name}": '
                detail = each.type_text if each.is_required else f"{each.type_text} (optional)".strip()
                items.append(Item(each.name, ItemKind.PARAMETER, self._span, value, detail, each.description))
        return items

    def _in_import(self) -> list[Item] | None:
        """What an import statement takes here; None outside of one."""
        statement = self._snapshot.text[self._cursor.statement_start : self._cursor.word_start].lstrip()
        names = _FROM.fullmatch(statement)
        if names is not None and names[1] == AUTHORING:
            given = set(re.findall(r"\w+", names[2]))
            return [self._primitive_item(each, each.name) for each in PRIMITIVES.values() if each.name not in given]
        if names is not None:
            known = sorted(MODULES.get(names[1], ()))
            return [Item(name, ItemKind.VALUE, self._span, name) for name in known]
        if _MODULE.fullmatch(statement):
            modules = [AUTHORING] if statement.startswith("from") else []
            return [Item(name, ItemKind.MODULE, self._span, name) for name in modules + sorted(MODULES)]
        return None

    def _names(self) -> list[Item]:
        """Primitives; one that is not imported brings its import."""
        imported = {primitive.name: local for local, primitive in imported_primitives(self._snapshot.text).items()}
        items: list[Item] = []
        for primitive in PRIMITIVES.values():
            local = imported.get(primitive.name)
            edit = None if local is not None else self._import_of(primitive.name)
            items.append(self._primitive_item(primitive, local or primitive.name, edit))
        return items

    def _primitive_item(self, primitive: Primitive, name: str, import_edit: Edit | None = None) -> Item:
        return Item(
            name,
            ItemKind.FUNCTION,
            self._span,
            name,
            detail=signature_text(primitive)[0],
            documentation=primitive_text(primitive),
            import_edit=import_edit,
        )

    def _import_of(self, name: str) -> Edit | None:
        """The edit that imports a primitive, as long as what stands before its place is as it was when it was read."""
        readable = self._snapshot.readable
        if readable is None or readable.syntax is None or name in readable.syntax.bindings:
            return None
        edit = add_import(readable.syntax, name)
        if edit is None or (edit[0].end_line, edit[0].end_column) > (self._span.line, self._span.column):
            return None
        last = edit[0].end_line
        is_same = readable.source.lines[:last] == self._snapshot.source.lines[:last]
        return edit if is_same or readable is self._snapshot else None

    def _parameters(self, call: Bracket, primitive: Primitive) -> list[Item]:
        """Parameters that are not given yet, by name."""
        positional = [each for each in primitive.parameters if each.kind is Kind.POSITIONAL]
        given = {each.name for each in positional[: call.index - len(call.keywords)]} if call.index else set[str]()
        given.update(call.keywords)
        return [
            Item(
                f"{each.name}=",
                ItemKind.PARAMETER,
                self._span,
                f"{each.name}=",
                detail=each.doc,
                documentation=parameter_documentation(primitive, each),
            )
            for each in primitive.parameters
            if each.kind in (Kind.POSITIONAL, Kind.KEYWORD) and each.name not in given
        ]

    def _values(self, call: Bracket, primitive: Primitive) -> list[Item]:
        """Values of `name=`, as they are written."""
        parameter = primitive.parameter(call.keyword or "")
        if parameter is None:
            return []
        if parameter.name in _SWITCHES:
            return [Item(word, ItemKind.VALUE, self._span, word) for word in ("True", "False")]
        return [
            Item(json.dumps(value, ensure_ascii=False), kind, self._span, json.dumps(value, ensure_ascii=False), detail)
            for value, kind, detail in self._strings(call, primitive, parameter)
        ]

    def _in_string(self, call: Bracket | None, primitive: Primitive | None) -> list[Item]:
        """Values of the parameter whose string is being typed."""
        string = self._cursor.string
        if call is None or primitive is None or string is None:
            return []
        prefix_start = string.start - len(string.quote)
        if self._snapshot.text[call.argument_start : prefix_start].strip().strip("fFrRbBuU"):
            # Not the whole argument: an operand, or a second literal.
            return []
        parameter = self._parameter_of(call, primitive)
        if parameter is None:
            return []
        return [
            Item(value, kind, self._span, value, detail)
            for value, kind, detail in self._strings(call, primitive, parameter)
            # What would have to be escaped is nobody's name.
            if not re.search(r'["\'\\\n]', value)
        ]

    def _parameter_of(self, call: Bracket, primitive: Primitive) -> PrimitiveParameter | None:
        if call.keyword is not None:
            return primitive.parameter(call.keyword)
        positional = [each for each in primitive.parameters if each.kind is Kind.POSITIONAL]
        return positional[call.index] if call.index < len(positional) else None

    def _strings(
        self, call: Bracket, primitive: Primitive, parameter: PrimitiveParameter
    ) -> Iterable[tuple[str, ItemKind, str]]:
        """Strings a parameter takes: (value, kind, what it is)."""
        snapshot, surroundings = self._snapshot, self._surroundings
        if parameter.choices:
            return [(choice, ItemKind.VALUE, "") for choice in parameter.choices]
        match primitive.name, parameter.name:
            case "agent", "agent":
                # Where nobody can be asked, those that the script names elsewhere.
                asked = None if surroundings.agents is None else surroundings.agents(snapshot.folder)
                known = self._given("agent", "agent") if asked is None else asked
                return [(name, ItemKind.VALUE, "agent") for name in known]
            case "workflow", "name_or_path":
                found = sorted(surroundings.workflows(snapshot.folder).items())
                return [(name, ItemKind.FILE, path) for name, path in found if path != snapshot.path]
            case "phase", "name":
                return [(name, ItemKind.VALUE, "phase") for name in self._given("phase", "name")]
            case _, "phase":
                return [(name, ItemKind.VALUE, "phase") for name in self._given("phase", "name")]
            case _, "id":
                return [
                    (name, ItemKind.VALUE, why)
                    for name, why in proposed_ids(snapshot, self._cursor, call, surroundings)
                ]
            case _:
                return []

    def _given(self, primitive: str, parameter: str) -> list[str]:
        """Strings that the script itself gives for a parameter somewhere, each once."""
        readable = self._snapshot.readable
        values = [
            readable_text(value)
            for site in (readable.call_sites if readable is not None else [])
            if site.primitive.name == primitive and (value := site.argument(parameter)) is not None
        ]
        return list(dict.fromkeys(value for value in values if value and "{" not in value))
