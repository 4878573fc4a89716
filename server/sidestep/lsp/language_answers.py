"""What `language/` says, as LSP's JSON. Pure conversion; no state, no decisions about scripts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sidestep.language.completion import ItemKind
from sidestep.language.fixes import span_of
from sidestep.lsp.positions import to_range
from sidestep.scripts.file_uri import uri_of_path

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from sidestep.language.completion import Item
    from sidestep.language.document import Snapshot
    from sidestep.language.fixes import Fix
    from sidestep.language.hover import Hover
    from sidestep.language.navigation import Place
    from sidestep.language.signature_help import SignatureHelp
    from sidestep.language.symbols import Symbol
    from sidestep.model.problems import ScriptProblem

# LSP's numbers.
_SEVERITIES = {"error": 1, "warning": 2}
_SYMBOL_KINDS = {"function": 12, "phase": 3, "step": 24}
_ITEM_KINDS = {
    ItemKind.FUNCTION: 3,
    ItemKind.PARAMETER: 5,
    ItemKind.MODULE: 9,
    ItemKind.VALUE: 12,
    ItemKind.FILE: 17,
}


def diagnostic(snapshot: Snapshot, problem: ScriptProblem, encoding: str) -> dict[str, Any]:
    return {
        "range": to_range(snapshot, span_of(problem), encoding),
        "severity": _SEVERITIES[problem.severity],
        "code": problem.code,
        "source": "sidestep",
        "message": problem.message,
    }


def quick_fix(
    snapshot: Snapshot, uri: str, fix: Fix, encoding: str, *, version: int | None, with_versions: bool
) -> dict[str, Any]:
    """
    A code action that makes one replacement.

    Args:
        with_versions: The client takes `documentChanges`, which it refuses once the document went on.
    """
    edit = {"range": to_range(snapshot, fix.span, encoding), "newText": with_line_ends(snapshot, fix.text)}
    if with_versions:
        document = {"uri": uri, "version": version}
        changes: dict[str, Any] = {"documentChanges": [{"textDocument": document, "edits": [edit]}]}
    else:
        changes = {"changes": {uri: [edit]}}
    return {
        "title": fix.title,
        "kind": "quickfix",
        "isPreferred": True,
        "diagnostics": [diagnostic(snapshot, fix.problem, encoding)],
        "edit": changes,
    }


def hover_answer(snapshot: Snapshot, hover: Hover | None, encoding: str, *, as_markdown: bool) -> dict[str, Any] | None:
    if hover is None:
        return None
    return {"contents": _markup(hover.text, as_markdown), "range": to_range(snapshot, hover.span, encoding)}


def completion_item(snapshot: Snapshot, item: Item, number: int, encoding: str, *, as_markdown: bool) -> dict[str, Any]:
    """One item; `number` keeps our order, which an editor would replace by the alphabet's."""
    answer: dict[str, Any] = {
        "label": item.label,
        "kind": _ITEM_KINDS[item.kind],
        "sortText": f"{number:05d}",
        # What is typed is compared with this; by default with the label, which is the same text here.
        "textEdit": {"range": to_range(snapshot, item.span, encoding), "newText": item.text},
    }
    if item.detail:
        answer["detail"] = item.detail
    if item.documentation:
        answer["documentation"] = _markup(item.documentation, as_markdown)
    if item.import_edit is not None:
        span, text = item.import_edit
        edit = {"range": to_range(snapshot, span, encoding), "newText": with_line_ends(snapshot, text)}
        answer["additionalTextEdits"] = [edit]
    return answer


def signature_answer(found: SignatureHelp | None) -> dict[str, Any] | None:
    if found is None:
        return None
    parameters = [
        # Offsets into an ASCII label are the same in every encoding.
        {"label": list(place), "documentation": parameter.doc}
        for place, parameter in zip(found.places, found.primitive.parameters, strict=True)
    ]
    signature = {"label": found.label, "documentation": found.primitive.doc, "parameters": parameters}
    # Out of range stands for none: null is newer than most clients.
    active = len(parameters) if found.active is None else found.active
    return {"signatures": [signature], "activeSignature": 0, "activeParameter": active}


def document_symbol(snapshot: Snapshot, symbol: Symbol, encoding: str) -> dict[str, Any]:
    return {
        "name": symbol.name,
        "detail": symbol.detail,
        "kind": _SYMBOL_KINDS[symbol.kind],
        "range": to_range(snapshot, symbol.span, encoding),
        "selectionRange": to_range(snapshot, symbol.name_span, encoding),
        "children": [document_symbol(snapshot, child, encoding) for child in symbol.children],
    }


def flat_symbols(
    snapshot: Snapshot, uri: str, symbols: Sequence[Symbol], encoding: str, container: str = ""
) -> Iterator[dict[str, Any]]:
    """For clients that know no tree of symbols."""
    for symbol in symbols:
        location = {"uri": uri, "range": to_range(snapshot, symbol.span, encoding)}
        answer: dict[str, Any] = {"name": symbol.name, "kind": _SYMBOL_KINDS[symbol.kind], "location": location}
        yield {**answer, "containerName": container} if container else answer
        yield from flat_symbols(snapshot, uri, symbol.children, encoding, symbol.name)


def location(place: Place, encoding: str, uri_of: Callable[[str], str | None]) -> dict[str, Any]:
    """A place; an open document keeps the URI the client gave it."""
    uri = uri_of(place.path) or uri_of_path(place.path)
    return {"uri": uri, "range": to_range(place.snapshot, place.span, encoding)}


def with_line_ends(snapshot: Snapshot, text: str) -> str:
    """A replacement with the document's own line ends."""
    return text.replace("\n", snapshot.line_end)


def _markup(text: str, as_markdown: bool) -> dict[str, str]:
    if as_markdown:
        return {"kind": "markdown", "value": text}
    lines = [line.replace("`", "") for line in text.splitlines() if line != "```" and line != "```python"]
    return {"kind": "plaintext", "value": "\n".join(lines)}
