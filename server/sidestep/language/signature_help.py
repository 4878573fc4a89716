"""The signature of the primitive that is being called, and which of its parameters is being given."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sidestep.language.reference import primitives_of, signature_text
from sidestep.scripts.primitives import Kind

if TYPE_CHECKING:
    from sidestep.language.document import Snapshot
    from sidestep.language.text_cursor import Bracket
    from sidestep.scripts.primitives import Primitive


@dataclass(frozen=True)
class SignatureHelp:
    """
    Attributes:
        places: Where in `label` each parameter stands, start and end, from 0.
        active: The parameter being given, an index into the primitive's; None when none fits.
    """

    label: str
    places: list[tuple[int, int]]
    primitive: Primitive
    active: int | None


def signature_help(snapshot: Snapshot, line: int, column: int) -> SignatureHelp | None:
    """What helps at a position; None outside every call of a primitive, and inside a call of something else."""
    cursor = snapshot.cursor(line, column)
    call = cursor.call
    primitive = None if call is None or cursor.in_comment else primitives_of(snapshot.text).get(call.callee)
    if call is None or primitive is None:
        return None
    label, places = signature_text(primitive)
    return SignatureHelp(label, places, primitive, _active(primitive, call))


def _active(primitive: Primitive, call: Bracket) -> int | None:
    by_name = {each.name: number for number, each in enumerate(primitive.parameters)}
    details = next((n for n, each in enumerate(primitive.parameters) if each.kind is Kind.DETAILS), None)
    if call.keyword is not None:
        return by_name.get(call.keyword, details)
    if call.keywords:
        # What follows a named argument is named, too; which one shows with its name.
        return details
    positional = [n for n, each in enumerate(primitive.parameters) if each.kind in (Kind.POSITIONAL, Kind.REST)]
    if call.index < len(positional):
        return positional[call.index]
    return positional[-1] if primitive.positions_max is None else details
