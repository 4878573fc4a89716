"""
The signature of a script's `main` as the JSON Schema of its arguments, read with `ast` and never by running.

Owns: which annotations arguments may have, their schemas, defaults and descriptions. Whether given arguments fit stands
in `arguments.py`, which knows exactly the schemas written here.
"""

from __future__ import annotations

import ast
import math
from typing import TYPE_CHECKING, Any

from sidestep.model.parsing import parse_expression
from sidestep.model.value import Value
from sidestep.scripts.arguments import value_problems
from sidestep.scripts.docstrings import argument_descriptions, first_line
from sidestep.scripts.near_names import did_you_mean
from sidestep.scripts.source_text import Span
from sidestep.scripts.syntax import FUNCTIONS, parse, problem_at

if TYPE_CHECKING:
    from sidestep.model.problems import ScriptProblem
    from sidestep.scripts.syntax import Function, ScriptSyntax

Schema = dict[str, Any]

SCHEMA_DIALECT = "https://json-schema.org/draft/2020-12/schema"

# Depth of nested types: `list[list[int]]` is 3.
TYPE_DEPTH_MAX = 16

_SIMPLE: dict[str, Schema] = {
    "str": {"type": "string"},
    "int": {"type": "integer"},
    "float": {"type": "number"},
    "bool": {"type": "boolean"},
    "None": {"type": "null"},
    "list": {"type": "array"},
    "List": {"type": "array"},
    "dict": {"type": "object"},
    "Dict": {"type": "object"},
    "Any": {},
    "object": {},
}
_ALLOWED = "str, int, float, bool, list[...], dict[str, ...], X | None, Literal[...] or Any"


class ScriptParameter(Value, frozen=True):
    """
    One parameter of `main`.

    Attributes:
        schema: Its JSON Schema, with `description` and `default` where there are any.
        type_text: Its annotation as written, for help texts; empty without one.
    """

    name: str
    schema: Schema
    is_required: bool
    type_text: str = ""
    description: str = ""


class ScriptSignature(Value, frozen=True):
    """
    What a script says about itself.

    Attributes:
        description: First line of the module's docstring; may be empty.
        parameters: In the order of the signature.
        line: Line of `def main`, 1-based.
    """

    description: str
    parameters: tuple[ScriptParameter, ...]
    line: int

    @property
    def args_schema(self) -> Schema:
        """JSON Schema (draft 2020-12) of the arguments object."""
        return {
            "$schema": SCHEMA_DIALECT,
            "type": "object",
            "properties": {parameter.name: parameter.schema for parameter in self.parameters},
            "required": [parameter.name for parameter in self.parameters if parameter.is_required],
            "additionalProperties": False,
        }

    def parameter(self, name: str) -> ScriptParameter | None:
        return next((parameter for parameter in self.parameters if parameter.name == name), None)


def read_signature(source: str, file: str) -> tuple[ScriptSignature | None, list[ScriptProblem]]:
    """
    Read what a script says about itself; any text, nothing is run.

    Returns:
        (signature, problems); no signature when the text is no Python or has no `main`.
    """
    syntax, problems = parse(source, file)
    return (None, problems) if syntax is None else signature_of(syntax)


def read_description(source: str) -> str:
    """First line of the module's docstring; empty without one, or when the text is no Python."""
    syntax, _ = parse(source, "")
    return "" if syntax is None else first_line(ast.get_docstring(syntax.tree))


def signature_of(syntax: ScriptSyntax) -> tuple[ScriptSignature | None, list[ScriptProblem]]:
    """As `read_signature`, of a script that is parsed already."""
    main, problems = _main(syntax)
    if main is None:
        return None, problems
    reader = _ParameterReader(syntax, main)
    description = first_line(ast.get_docstring(syntax.tree))
    return ScriptSignature(description, reader.read(), main.lineno), problems + reader.problems


def _main(syntax: ScriptSyntax) -> tuple[Function | None, list[ScriptProblem]]:
    # A later definition replaces an earlier one, as it does when the script runs.
    top_level = [each for each in syntax.tree.body if isinstance(each, FUNCTIONS) and each.name == "main"]
    if not top_level:
        defined = [node for node in syntax.bindings.get("main", []) if isinstance(node, FUNCTIONS)]
        if defined:
            place = syntax.span(defined[0])
            at = Span(place.line, place.column, place.line, len(syntax.text.lines[place.line - 1]) + 1)
            return None, [problem_at(at, "main", "`main` has to stand at the top level of the script")]
        end_column = len(syntax.text.lines[0]) + 1
        message = "the script needs `async def main(...)`" + did_you_mean("main", _functions(syntax))
        return None, [problem_at(Span(1, 1, 1, end_column), "main", message)]
    main = top_level[-1]
    if isinstance(main, ast.AsyncFunctionDef):
        return main, []
    at = syntax.span(main)
    fix = (Span(at.line, at.column, at.line, at.column), "async ")
    keyword = Span(at.line, at.column, at.line, at.column + len("def main"))
    message = "`main` awaits no step unless it is async: `async def main(...)`"
    return main, [problem_at(keyword, "main", message, severity="warning", fix=fix, fix_title="Make main async")]


def _functions(syntax: ScriptSyntax) -> list[str]:
    return [each.name for each in syntax.tree.body if isinstance(each, FUNCTIONS)]


class _ParameterReader:
    """Reads the parameters of one `main`; problems are collected on the way."""

    def __init__(self, syntax: ScriptSyntax, main: Function) -> None:
        self.problems: list[ScriptProblem] = []
        self._syntax = syntax
        self._arguments = main.args
        self._descriptions = argument_descriptions(ast.get_docstring(main) or "")

    def read(self) -> tuple[ScriptParameter, ...]:
        arguments = self._arguments
        for each in arguments.posonlyargs:
            self._refuse(each, "arguments are given by name, so `main` has no positional-only parameters")
        if arguments.vararg is not None:
            self._refuse(arguments.vararg, "arguments are given by name, so `main` has no `*` parameter")
        if arguments.kwarg is not None:
            self._refuse(arguments.kwarg, "name every parameter of `main`; take a dict for open-ended ones")
        positional = [*arguments.posonlyargs, *arguments.args]
        defaults: list[ast.expr | None] = [None] * (len(positional) - len(arguments.defaults))
        pairs = [*zip(positional, defaults + arguments.defaults, strict=True)]
        pairs += zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)
        return tuple(self._parameter(argument, default) for argument, default in pairs)

    def _parameter(self, argument: ast.arg, default: ast.expr | None) -> ScriptParameter:
        schema: Schema = {} if argument.annotation is None else dict(self._schema(argument.annotation, argument))
        fits = dict(schema)
        description = self._descriptions.get(argument.arg, "")
        if description:
            schema["description"] = description
        if default is not None:
            self._default(argument, default, schema, fits)
        type_text = "" if argument.annotation is None else self._text(argument.annotation)
        return ScriptParameter(argument.arg, schema, default is None, type_text, description)

    def _default(self, argument: ast.arg, default: ast.expr, schema: Schema, fits: Schema) -> None:
        is_json, value = _json_literal(default)
        if not is_json:
            message = f"the default of {argument.arg!r} is not a JSON literal, so nobody sees it before a run"
            self.problems.append(self._syntax.problem(default, "signature", message, severity="warning"))
        elif problems := value_problems(fits, value):
            fix = None
            if value is None and argument.annotation is not None and not _is_text(argument.annotation):
                at = self._syntax.span(argument.annotation)
                fix = (Span(at.end_line, at.end_column, at.end_line, at.end_column), " | None")
            message = f"the default of {argument.arg!r} does not fit its type: {problems[0].message}"
            title = "Add | None" if fix else None
            self.problems.append(
                self._syntax.problem(default, "signature", message, severity="warning", fix=fix, fix_title=title)
            )
        else:
            schema["default"] = value

    def _schema(self, node: ast.expr, argument: ast.arg, depth: int = 1) -> Schema:
        if depth > TYPE_DEPTH_MAX:
            return self._no_type(node, argument, f"nested more than {TYPE_DEPTH_MAX} deep")
        match node:
            case ast.Constant(value=None):
                return _SIMPLE["None"]
            case ast.Constant(value=str(text)):
                return self._quoted(text, node, argument, depth)
            case ast.BinOp(op=ast.BitOr()):
                return self._union(_operands(node), argument, depth)
            case ast.Subscript():
                return self._generic(node, argument, depth)
            case _:
                schema = _SIMPLE.get(_type_name(node))
                return self._no_type(node, argument) if schema is None else schema

    def _generic(self, node: ast.Subscript, argument: ast.arg, depth: int) -> Schema:
        parameters = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
        match _type_name(node.value), parameters:
            case "list" | "List", [items]:
                return _with("array", "items", self._schema(items, argument, depth + 1))
            case "dict" | "Dict", [keys, values]:
                if _type_name(keys) != "str":
                    return self._no_type(keys, argument, "keys of a dict are str")
                return _with("object", "additionalProperties", self._schema(values, argument, depth + 1))
            case "Optional", [one]:
                return self._union([one, ast.copy_location(ast.Constant(None), one)], argument, depth)
            case "Union", _:
                return self._union(parameters, argument, depth)
            case "Literal", _:
                return self._literal(parameters, argument)
            case _:
                return self._no_type(node, argument)

    def _union(self, members: list[ast.expr], argument: ast.arg, depth: int) -> Schema:
        schemas: list[Schema] = []
        for member in members:
            schema = self._schema(member, argument, depth + 1)
            for each in schema.get("anyOf", [schema]):
                if each not in schemas:
                    schemas.append(each)
        if {} in schemas:
            return {}
        return schemas[0] if len(schemas) == 1 else {"anyOf": schemas}

    def _literal(self, members: list[ast.expr], argument: ast.arg) -> Schema:
        values: list[Any] = []
        for member in members:
            is_json, value = _json_literal(member)
            if not is_json or isinstance(value, list | dict | float):
                return self._no_type(member, argument, "Literal[...] takes strings, integers, True, False and None")
            values.append(value)
        return {"enum": values}

    def _quoted(self, text: str, node: ast.expr, argument: ast.arg, depth: int) -> Schema:
        try:
            inner = parse_expression(text.strip())
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            return self._no_type(node, argument)
        for each in ast.walk(inner):
            ast.copy_location(each, node)
        return self._schema(inner, argument, depth + 1)

    def _no_type(self, node: ast.expr, argument: ast.arg, why: str = "") -> Schema:
        reason = why or f"{self._text(node)!r} is no type of an argument; use {_ALLOWED}"
        message = f"parameter {argument.arg!r}: {reason}"
        self.problems.append(self._syntax.problem(node, "signature", message))
        return {}

    def _refuse(self, argument: ast.arg, message: str) -> None:
        self.problems.append(self._syntax.problem(argument, "signature", message))

    def _text(self, node: ast.expr) -> str:
        return " ".join(self._syntax.text.slice(self._syntax.span(node)).split())


def _type_name(node: ast.expr) -> str:
    """`List` of `List` and of `typing.List`; empty for anything else."""
    match node:
        case ast.Name(id=name) | ast.Attribute(value=ast.Name(id="typing" | "t"), attr=name):
            return name
        case ast.Constant(value=None):
            return "None"
        case _:
            return ""


def _is_text(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, str)


def _operands(node: ast.BinOp) -> list[ast.expr]:
    """Operands of `a | b | c`, without recursing: the chain may be long."""
    operands: list[ast.expr] = []
    rest: ast.expr = node
    while isinstance(rest, ast.BinOp) and isinstance(rest.op, ast.BitOr):
        operands.append(rest.right)
        rest = rest.left
    return [rest, *reversed(operands)]


def _with(kind: str, keyword: str, inner: Schema) -> Schema:
    # `{"items": {}}` says no more than nothing.
    return {"type": kind, keyword: inner} if inner else {"type": kind}


def _json_literal(node: ast.expr) -> tuple[bool, Any]:
    """(True, value) for a literal that JSON can hold."""
    try:
        value = ast.literal_eval(node)
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        return False, None
    return (True, value) if _is_json(value) else (False, None)


def _is_json(value: Any) -> bool:
    stack: list[Any] = [value]
    while stack:
        item = stack.pop()
        if isinstance(item, dict):
            if not all(isinstance(key, str) for key in item):  # pyright: ignore[reportUnknownVariableType]
                return False
            stack.extend(item.values())  # pyright: ignore[reportUnknownArgumentType]
        elif isinstance(item, list):
            stack.extend(item)  # pyright: ignore[reportUnknownArgumentType]
        elif not (item is None or isinstance(item, bool | int | str)) and not (
            isinstance(item, float) and math.isfinite(item)
        ):
            return False
    return True
