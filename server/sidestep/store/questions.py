"""
The questions' table: read, put and withdrawn by whoever holds the connection.

Owns the SQL of `questions`; the rules are `model/questions.py`'s. The table is written at once, not held back like the
rows of runs: a question costs a person's time, not a commit's.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import msgspec

from sidestep.model.errors import DataDamaged, RunNotFound
from sidestep.model.events import InteractionStatus
from sidestep.model.questions import Question
from sidestep.store.faults import unreadable_run
from sidestep.store.rows import UNREADABLE

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Sequence

log = logging.getLogger("sidestep.store")

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
    What waits for an answer in a run, of a root: in its tree; oldest first. Unreadable ones are passed over (C5).

    Raises:
        RunNotFound.
    """
    found = connection.execute("SELECT root_run_id FROM runs WHERE run_id = ?", (run_id,)).fetchone()
    if found is None:
        raise RunNotFound(run_id=run_id)
    readable = (_question_if_readable(each, stored) for _, each, stored in _open_rows(connection, found[0]))
    questions = [each for each in readable if each is not None and run_id in (found[0], each.run_id)]
    return sorted(questions, key=lambda question: question.place)


def withdraw_open(connection: sqlite3.Connection, root_run_id: str, run: int | None) -> list[int]:
    """
    Close every open question of a tree, or of the one run of it whose row is given, without an answer.

    Returns:
        The row of its run, for each; those among them that cannot be read are closed, too (C5).
    """
    closed: list[int] = []
    for of_run, interaction_id, stored in _open_rows(connection, root_run_id):
        if run not in (None, of_run):
            continue
        question = _question_if_readable(interaction_id, stored)
        if question is None:
            connection.execute("UPDATE questions SET is_open = 0 WHERE interaction_id = ?", (interaction_id,))
        else:
            withdrawn = msgspec.structs.replace(question, status=InteractionStatus.WITHDRAWN)
            put_question(connection, of_run, withdrawn, encode_question(withdrawn))
        closed.append(of_run)
    return closed


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


def _open_rows(connection: sqlite3.Connection, root_run_id: str) -> list[tuple[int, str, bytes]]:
    """(row of the run, interaction id, question as stored) of what is open in a tree."""
    return connection.execute(
        "SELECT run, interaction_id, CAST(record AS BLOB) FROM questions WHERE root_run_id = ? AND is_open",
        (root_run_id,),
    ).fetchall()


def _question_if_readable(interaction_id: str, stored: bytes) -> Question | None:
    try:
        return _question(interaction_id, stored)
    except DataDamaged:
        log.exception("a question is unreadable", extra={"interaction_id": interaction_id})
        return None


def _question(interaction_id: str, stored: bytes) -> Question:
    try:
        return _decoder.decode(stored)
    except UNREADABLE as error:
        raise unreadable_run(interaction_id) from error
