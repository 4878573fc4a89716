"""
The journal's writes inside a transaction that the writer began and will commit.

Owns what each write does to the tables; the rules are `model/journal.py`'s, the rows `row_cache.py`'s.

Invariant: everything that can fail by itself (rules, encoding) happens before a write changes anything, so a refused
write leaves nothing behind and the others of its transaction stand.
"""

from __future__ import annotations

import logging
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from msgspec.structs import replace

from sidestep.model.errors import DataDamaged, InvalidTransition, RunNotFound, StoreUnavailable
from sidestep.model.events import encode_body
from sidestep.model.journal import created, decide
from sidestep.model.nested import created_under, recounted, stopped_with_root, with_nested
from sidestep.model.ports import Committed, Deleted
from sidestep.model.questions import decide_question
from sidestep.model.replay_key import hash_text
from sidestep.model.run import ACTIVE, STOPPED, RunRecord, RunStatus, StepStatus
from sidestep.model.writes import Append, Charge, Claim, QuestionWrite
from sidestep.store.event_rows import keep_position, last_position
from sidestep.store.notices import Notices
from sidestep.store.questions import encode_question, put_question, read_question, withdraw_open
from sidestep.store.row_cache import RowCache
from sidestep.store.rows import encode_record, inputs_of, pack_text, places_of_run, search_words

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Iterable

    from sidestep.model.decision import Decision
    from sidestep.model.run import StepRecord
    from sidestep.model.writes import Write
    from sidestep.store.outputs import OutputFolder


log = logging.getLogger("sidestep.store")

_ACTIVE_WORDS = ", ".join(f"'{status.value}'" for status in sorted(ACTIVE, key=lambda status: status.value))
# What a runner writes while it conducts: every text that it brings stands in an event, or in a step's output.
_PROGRESS = (Append, Charge)
_SELECT_MEMBERS = "SELECT run_id FROM runs WHERE root_run_id = ? AND run_id != ?"
_SELECT_ACTIVE_MEMBERS = f"{_SELECT_MEMBERS} AND status IN ({_ACTIVE_WORDS}) ORDER BY run"


class Applied(NamedTuple):
    """What a write left: its answer, and what listeners are told, in order; nothing when nothing changed."""

    answer: Any
    told: tuple[Committed | Deleted, ...] = ()


class Tables:
    """
    The tables as one connection's writer changes them; lives as long as the connection.

    Args:
        restore_output: Writes an output file again that was kept for a step and deleted since; False if it cannot.
    """

    def __init__(
        self, connection: sqlite3.Connection, outputs: OutputFolder, restore_output: Callable[[str], bool]
    ) -> None:
        self._connection = connection
        self._outputs = outputs
        self._restore_output = restore_output
        self._rows = RowCache(connection)
        self._notices = Notices(connection)
        self._position = 0
        # Rows changed by writing back: what was put before stands, whatever becomes of the write that asked for it.
        self.written_back = 0

    def begin(self, data_version: int) -> bool:
        """
        A transaction has begun and holds the write lock.

        Args:
            data_version: SQLite's, as it is now.

        Returns:
            Whether others have committed since the last transaction here, or there was none.
        """
        self._position = 0
        self._notices.begin()
        return self._rows.begin(data_version)

    def rolled_back(self) -> None:
        self._rows.forget()

    def flush(self) -> int:
        """Write back what is held in memory; returns the position of the transaction's last event, 0 without one."""
        before = self._connection.total_changes
        self._position = self._rows.flush() or self._position
        self.written_back += self._connection.total_changes - before
        return self._position

    @property
    def last_notice(self) -> int:
        """Number of the transaction's last notice, 0 without one."""
        return self._notices.last

    def create(self, record: RunRecord, source: str) -> Applied:
        """Answers (row, created) as `RunStore.create`."""
        if record.start_key is not None:
            taken = self._connection.execute(
                "SELECT run_id FROM runs WHERE folder = ? AND start_key = ?", (record.folder, record.start_key)
            ).fetchone()
            if taken is not None:
                return Applied((self._rows.row(taken[0]).record, False))
        assert hash_text(source) == record.source_hash, "a run is stored with the source its row names"
        exists = self._connection.execute("SELECT 1 FROM runs WHERE run_id = ?", (record.run_id,)).fetchone()
        if record.is_root:
            assert exists is None, "a run's id is new"
            first, begun = created(record)
        elif exists is not None:
            # A nested run's id is derived from its step: an earlier execution made it.
            return Applied((self._rows.row(record.run_id).record, False))
        else:
            first, begun = created_under(record, self._rows.row(record.root_run_id).record)
        encoded, inputs = encode_record(begun.record), inputs_of(record)
        events = first.events + begun.events
        for event in events:
            encode_body(event.body)
        self.store_source(source)
        run = self._connection.execute(
            "INSERT INTO runs (run_id, folder, name, words, parent_run_id, root_run_id, start_key, created_at_ms, "
            "status, record) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                *(record.run_id, record.folder, record.name, search_words(record)),
                *(record.parent_run_id, record.root_run_id, record.start_key, record.created_at_ms),
                *(begun.record.status.value, encoded),
            ),
        ).lastrowid
        self._connection.execute(
            "INSERT INTO inputs (run, args_json, args_schema_json, script_ref) VALUES (?, ?, ?, ?)",
            (run, pack_text(inputs.args_json), pack_text(inputs.args_schema_json), pack_text(inputs.script_ref)),
        )
        self._rows.put(self._rows.row(record.run_id), begun.record, events, ())
        return Applied((begun.record, True), tuple(Committed(each.record, each.events) for each in (first, begun)))

    def write(self, write: Write, now_ms: int) -> Applied:
        """Answers the row after `write`; raises what `decide` raises, and `RunNotFound`."""
        row = self._rows.row(write.run_id)
        record = row.record
        if isinstance(write, Claim) and record.is_root:
            record = self._recounted(record)
        root = record if record.is_root else self._rows.row(record.root_run_id).record
        is_progress = isinstance(write, _PROGRESS)
        if not is_progress and isinstance(write, QuestionWrite):
            question = read_question(self._connection, write.interaction_id)
            decision = decide_question(record, root, write, question, now_ms)
        else:
            decision = decide(record, root, write, partial(self._rows.step, row), now_ms)
        after = decision.record
        if after is record or (not decision.events and after == record):
            return Applied(record)
        assert not decision.events or decision.events[0].sequence == record.sequence + 1, "sequences have no gap"
        self._require_outputs(decision.steps)
        encoded = None if decision.question is None else encode_question(decision.question)
        if not is_progress:
            # May raise; from what is put on, nothing may but SQLite.
            encode_record(after)
        self._rows.put(row, after, decision.events, decision.steps)
        if not decision.events:
            self._notices.row_changed(after.run_id)
        if decision.supersede_failed:
            self.flush()
            self._connection.execute(
                "UPDATE steps SET status = ? WHERE place BETWEEN ? AND ? AND status = ?",
                (StepStatus.SUPERSEDED.value, *places_of_run(row.run), StepStatus.FAILED.value),
            )
        if decision.question is not None and encoded is not None:
            put_question(self._connection, row.run, decision.question, encoded)
        others = self._recount(row.run, record, root, decision)
        if decision.stops_members:
            others += self._stop_members(after, now_ms)
        return Applied(after, (Committed(after, decision.events), *others))

    def _recount(self, run: int, record: RunRecord, root: RunRecord, decision: Decision) -> list[Committed]:
        """Withdraw what the decision closes, and bring the counts of the other rows of the tree into line."""
        if record.is_root and not decision.withdraws_questions:
            return []
        told: list[Committed] = []
        counted, pending = root, decision.pending
        if decision.finishes_step:
            # An automatic resume of the tree has made progress.
            counted = replace(counted, automatic_resumes=0)
        if decision.withdraws_questions:
            closed = withdraw_open(self._connection, root.run_id, None if record.is_root else run)
            pending -= len(closed)
            for member in sorted({*closed} - {run}):
                told += self._uncounted(member)
        if not record.is_root:
            counted = replace(counted, pending=max(0, counted.pending + pending))
            counted = with_nested(counted, record, decision.record)
            if counted != root:
                told.append(self._changed(counted))
        return told

    def _recounted(self, root: RunRecord) -> RunRecord:
        """The root's row with its sums as those of its nested runs; as it is when one of those cannot be read (C5)."""
        members = self._connection.execute(_SELECT_MEMBERS, (root.run_id, root.run_id)).fetchall()
        try:
            return recounted(root, [self._rows.row(run_id).record for (run_id,) in members])
        except DataDamaged:
            log.exception("a nested run is unreadable", extra={"run_id": root.run_id})
            return root

    def _uncounted(self, run: int) -> list[Committed]:
        """The row of a nested run whose questions were closed with its root; none when it cannot be read (C5)."""
        (run_id,) = self._connection.execute("SELECT run_id FROM runs WHERE run = ?", (run,)).fetchone()
        try:
            member = self._rows.row(run_id).record
        except DataDamaged:
            log.exception("a nested run is unreadable", extra={"run_id": run_id})
            return []
        return [self._changed(replace(member, pending=0))]

    def _changed(self, record: RunRecord) -> Committed:
        """Put a row that changes without an event."""
        self._rows.put(self._rows.row(record.run_id), record, (), ())
        self._notices.row_changed(record.run_id)
        return Committed(record, ())

    def _stop_members(self, root: RunRecord, now_ms: int) -> list[Committed]:
        """Stop every nested run of the tree that is active: in the transaction that stops its root."""
        self.flush()
        stopped: list[Committed] = []
        for (run_id,) in self._connection.execute(_SELECT_ACTIVE_MEMBERS, (root.run_id, root.run_id)).fetchall():
            try:
                row = self._rows.row(run_id)
            except DataDamaged:
                # A damaged one must not keep the others running (C5).
                log.exception("a nested run is unreadable", extra={"run_id": run_id})
                continue
            decision = stopped_with_root(row.record, root, now_ms)
            self._rows.put(row, decision.record, decision.events, ())
            stopped.append(Committed(decision.record, decision.events))
        return stopped

    def store_source(self, source: str) -> Applied:
        """Answers the source's hash."""
        digest = hash_text(source)
        self._connection.execute(
            "INSERT OR IGNORE INTO sources (hash, text) VALUES (?, ?)", (digest, pack_text(source))
        )
        return Applied(digest)

    def delete(self, run_id: str) -> Applied:
        """
        Answers the names of the output files the removed runs referred to.

        Reads no row's JSON, so that a damaged run can be removed.
        """
        self.flush()
        found = self._connection.execute(
            "SELECT root_run_id, status, folder, owner_id FROM runs WHERE run_id = ?", (run_id,)
        ).fetchone()
        if found is None:
            raise RunNotFound(run_id=run_id)
        root, status, folder, owner_id = found
        if root != run_id:
            raise InvalidTransition(
                run_id=run_id, status=status, why="only the root of a tree can be deleted", root_run_id=root
            )
        tree = self._connection.execute("SELECT run, run_id FROM runs WHERE root_run_id = ?", (run_id,)).fetchall()
        # Lease and fence of the tree stand on its root's row; a damaged nested run may show as active.
        require_deletable(run_id, RunStatus(status), is_owned=owner_id is not None)
        files: set[str] = set()
        position = last_position(self._connection)
        for run, member in tree:
            places = places_of_run(run)
            named = "SELECT output_file FROM steps WHERE place BETWEEN ? AND ? AND output_file IS NOT NULL"
            files.update(name for (name,) in self._connection.execute(named, places))
            self._connection.execute("DELETE FROM steps WHERE place BETWEEN ? AND ?", places)
            for table in ("events", "inputs", "questions", "runs"):
                self._connection.execute(f"DELETE FROM {table} WHERE run = ?", (run,))
            self._rows.drop(member)
        keep_position(self._connection, position)
        self._notices.deleted(run_id, folder)
        return Applied((files, [member for _, member in tree]), (Deleted(run_id, folder),))

    def remove_unused(self, files: Iterable[str]) -> Applied:
        """
        Delete the files no step refers to. Runs under the write lock: nobody can begin to refer to one meanwhile.

        A step that was about to (its file kept, its commit still to come) finds the file gone and restores it.
        """
        self.flush()
        for name in files:
            used = self._connection.execute("SELECT 1 FROM steps WHERE output_file = ? LIMIT 1", (name,)).fetchone()
            if used is None:
                self._outputs.remove(name)
        return Applied(None)

    def _require_outputs(self, steps: Iterable[StepRecord]) -> None:
        for step in steps:
            name = step.output_file
            if name is not None and not self._outputs.has(name) and not self._restore_output(name):
                raise StoreUnavailable(
                    what=f"The output file {name} vanished before it was referred to.", todo="Try again."
                )


def require_deletable(run_id: str, status: RunStatus, *, is_owned: bool) -> None:
    """
    Raises:
        InvalidTransition: the run is active, or its last execution has not unwound.
    """
    if status not in STOPPED:
        raise InvalidTransition(run_id=run_id, status=status.value, why="an active run cannot be deleted")
    if is_owned:
        raise InvalidTransition(run_id=run_id, status=status.value, why="its last execution has not unwound")
