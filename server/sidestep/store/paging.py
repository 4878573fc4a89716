"""
Cursors of pages: opaque text to everybody else, the place of the last item to the stores.

Both stores page by the same places, so a cursor means the same in each.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sidestep.model.errors import CursorInvalid

if TYPE_CHECKING:
    from sidestep.model.run import RunRecord


def run_cursor(record: RunRecord) -> str:
    return place_cursor(record.created_at_ms, record.run_id)


def place_cursor(created_at_ms: int, run_id: str) -> str:
    return f"{created_at_ms}.{run_id}"


def run_place(cursor: str) -> tuple[int, str]:
    """
    The creation time (ms) and run id behind a cursor.

    Raises:
        CursorInvalid: this is no cursor of a list of runs.
    """
    created_at, separator, run_id = cursor.partition(".")
    if not separator or not _is_number(created_at):
        raise CursorInvalid(cursor)
    return int(created_at), run_id


def step_place(cursor: str) -> int:
    """
    The first sequence behind a cursor of a run's steps.

    Raises:
        CursorInvalid: this is no cursor of a list of steps.
    """
    if not _is_number(cursor):
        raise CursorInvalid(cursor)
    return int(cursor)


def _is_number(text: str) -> bool:
    # Bounded: SQLite's integers have 64 bits.
    return text.isascii() and text.isdigit() and len(text) <= 18
