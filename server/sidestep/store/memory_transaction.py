"""
What each write does to a store without a disk; as `transaction.py`, by the same rules.

Knows nothing of who waits, listens or watches: that is `memory.py`'s.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec.structs import replace as replace_record

from sidestep.model.errors import InvalidTransition, RunNotFound
from sidestep.model.journal import created, decide
from sidestep.model.nested import created_under, stopped_with_root, with_nested
from sidestep.model.ports import Committed, Deleted
from sidestep.model.questions import decide_question
from sidestep.model.replay_key import hash_text
from sidestep.model.writes import QuestionWrite
from sidestep.store.memory_journal import StoredRun, put_decision, withdraw_questions
from sidestep.store.outputs import damaged_output
from sidestep.store.transaction import Applied, require_deletable

if TYPE_CHECKING:
    from sidestep.model.run import RunRecord, StepRecord
    from sidestep.model.writes import Write
    from sidestep.store.memory_journal import MemoryJournal


class MemoryTransaction:
    """
    Args:
        kept: Outputs that were kept for a step, by name: one that was deleted since is put back.
    """

    def __init__(self, journal: MemoryJournal, kept: dict[str, str]) -> None:
        self._journal = journal
        self._kept = kept

    def run(self, run_id: str) -> StoredRun:
        """Raises RunNotFound."""
        run = self._journal.runs.get(run_id)
        if run is None:
            raise RunNotFound(run_id=run_id)
        return run

    def create(self, record: RunRecord, source: str) -> Applied:
        for run in self._journal.runs.values():
            taken = run.record
            if record.start_key is not None and (taken.folder, taken.start_key) == (record.folder, record.start_key):
                return Applied((taken, False))
        assert hash_text(source) == record.source_hash, "a run is stored with the source its row names"
        existing = self._journal.runs.get(record.run_id)
        if record.is_root:
            assert existing is None, "a run's id is new"
            first, begun = created(record)
        elif existing is not None:
            return Applied((existing.record, False))
        else:
            first, begun = created_under(record, self.run(record.root_run_id).record)
        run = StoredRun(begun.record)
        for decision in (first, begun):
            put_decision(run, decision)
        self.keep_source(source)
        self._journal.runs[record.run_id] = run
        return Applied((begun.record, True), tuple(Committed(each.record, each.events) for each in (first, begun)))

    def write(self, write: Write, now_ms: int) -> Applied:
        run = self.run(write.run_id)
        record = run.record

        def step(key: str) -> StepRecord | None:
            return run.steps[key][1] if key in run.steps else None

        root = record if record.is_root else self.run(record.root_run_id).record
        if isinstance(write, QuestionWrite):
            decision = decide_question(record, root, write, run.questions.get(write.interaction_id), now_ms)
        else:
            decision = decide(record, root, write, step, now_ms)
        if decision.record == record and not decision.events:
            return Applied(record)
        for one in decision.steps:
            name = one.output_file
            if name is not None and name not in self._journal.outputs:
                # Deleted with its last user since it was kept.
                if name not in self._kept:
                    raise damaged_output(name)
                self._journal.outputs[name] = self._kept[name]
        put_decision(run, decision)
        others: list[Committed] = []
        counted = root
        if decision.finishes_step:
            counted = replace_record(counted, automatic_resumes=0)
        pending = decision.pending
        if decision.withdraws_questions:
            withdrawn = withdraw_questions(self._journal, decision.record)
            pending -= sum(withdrawn.values())
            others += [self._counted(run_id, pending=0) for run_id in withdrawn if run_id != record.run_id]
        if not record.is_root:
            counted = replace_record(counted, pending=counted.pending + pending)
            counted = with_nested(counted, record, decision.record)
            if counted != root:
                self.run(root.run_id).record = counted
                others.append(Committed(counted, ()))
        if decision.stops_members:
            others += self._stop_members(decision.record, now_ms)
        return Applied(decision.record, (Committed(decision.record, decision.events), *others))

    def _counted(self, run_id: str, pending: int) -> Committed:
        run = self.run(run_id)
        run.record = replace_record(run.record, pending=pending)
        return Committed(run.record, ())

    def _stop_members(self, root: RunRecord, now_ms: int) -> list[Committed]:
        """Stop every nested run of the tree that is active."""
        stopped: list[Committed] = []
        for run in self._journal.runs.values():
            member = run.record
            if member.root_run_id == root.run_id and not member.is_root and member.is_active:
                decision = stopped_with_root(member, root, now_ms)
                put_decision(run, decision)
                stopped.append(Committed(decision.record, decision.events))
        return stopped

    def keep_source(self, source: str) -> str:
        digest = hash_text(source)
        self._journal.sources.setdefault(digest, source)
        return digest

    def delete(self, run_id: str) -> Applied:
        record = self.run(run_id).record
        if record.root_run_id != run_id:
            raise InvalidTransition(
                run_id=run_id,
                status=record.status.value,
                why="only the root of a tree can be deleted",
                root_run_id=record.root_run_id,
            )
        runs = self._journal.runs
        tree = [run for run in runs.values() if run.record.root_run_id == run_id]
        require_deletable(run_id, record.status, is_owned=record.owner is not None)
        for run in tree:
            del runs[run.record.run_id]
            self._journal.results.pop(run.record.run_id, None)
        gone = {step.output_file for run in tree for _, step in run.steps.values() if step.output_file}
        used = {step.output_file for run in runs.values() for _, step in run.steps.values()}
        for name in gone - used:
            self._journal.outputs.pop(name, None)
        return Applied(None, (Deleted(run_id, record.folder),))
