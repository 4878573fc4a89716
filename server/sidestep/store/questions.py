"""
The questions' table: read, put and withdrawn by whoever holds the connection.

Owns the SQL of `questions`; the rules are `model/questions.py`'s. The table is written at once, not held back like the
rows of runs: a question costs a person's time, not a commit's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from sidestep.model.errors import RunNotFound
from sidestep.model.events import InteractionStatus
from sidestep.model.questions import Question
from sidestep.store.faults import unreadable_run
from sidestep.store.rows import UNREADABLE

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Sequence

_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(Question)

_PUT = "INSERT OR REPLACE INTO questions (interaction_id, run, root_run_id, is_open, record) VALUES (?, ?, ?, ?, ?)"


def read_question(connection: sqlite3.Connection, interaction_id: str) -> Question | None:
    """
    The question of that id, if there is one.

    Raises:
        DataDamaged: its row is damaged.
    """
    row = connection.execute(
        "SELECT CAST(record AS BLOB) FROM questions WHERE interaction_id = ?", (interaction_id,)
    ).fetchone()
    return None if row is None else _question(interaction_id, row[0])


def open_questions(connection: sqlite3.Connection, run_id: str) -> Sequence[Question]:
    """
    What waits for an answer in a run, of a root: in its tree; oldest first.

    Raises:
        RunNotFound, DataDamaged.
    """
    found = connection.execute("SELECT root_run_id FROM runs WHERE run_id = ?", (run_id,)).fetchone()
    if found is None:
        raise RunNotFound(run_id=run_id)
    questions = [
        question for _, question in open_of_tree(connection, found[0]) if run_id in (found[0], question.run_id)
    ]
    return sorted(questions, key=lambda question: (question.asked_at_ms, question.interaction_id))


def open_of_tree(connection: sqlite3.Connection, root_run_id: str) -> list[tuple[int, Question]]:
    """(row of the run, question) of every open question of a tree. Raises DataDamaged."""
    rows = connection.execute(
        "SELECT run, interaction_id, CAST(record AS BLOB) FROM questions WHERE root_run_id = ? AND is_open",
        (root_run_id,),
    ).fetchall()
    return [(run, _question(interaction_id, record)) for run, interaction_id, record in rows]


def encode_question(question: Question) -> str:
    """
    JSON text of a question, as stored.

    Raises:
        ValueError: a text cannot be encoded.
    """
    return _encoder.encode(question).decode()


def put_question(connection: sqlite3.Connection, run: int, question: Question, encoded: str) -> None:
    """Put a question that `encode_question` encoded, with the number of its run's row."""
    values = (question.interaction_id, run, question.root_run_id, int(question.is_open), encoded)
    connection.execute(_PUT, values)


def withdraw_question(connection: sqlite3.Connection, run: int, question: Question) -> None:
    """Close an open question without an answer."""
    closed = msgspec.structs.replace(question, status=InteractionStatus.WITHDRAWN)
    put_question(connection, run, closed, encode_question(closed))


def _question(interaction_id: str, stored: bytes) -> Question:
    try:
        return _decoder.decode(stored)
    except UNREADABLE as error:
        raise unreadable_run(interaction_id) from error
