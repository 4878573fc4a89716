"""
What a run is: its statuses and the record that stands on its row.

The record is the journal's summary: every field can be read off the events and the writes that made them, and it is
written in the same transaction as they are. Nothing here decides what may follow what (`transitions.py`) or who may
write (`journal.py`).
"""

from __future__ import annotations

import enum
from typing import Any

import msgspec

from sidestep.model.usage import Spent, Usage


class RunStatus(enum.Enum):
    """Where a run is in its life."""

    PENDING = "pending"  # Created and owned; `running` follows in the same commit.
    RUNNING = "running"  # The script is being conducted.
    BACKGROUNDED = "backgrounded"  # Like running, but the request that waited for it was released.
    INTERRUPTED = "interrupted"  # Stopped durably; may be resumed.
    COMPLETED = "completed"  # The script returned; final.
    FAILED = "failed"  # The script raised or could not be run; may be retried.


ACTIVE = frozenset({RunStatus.PENDING, RunStatus.RUNNING, RunStatus.BACKGROUNDED})
STOPPED = frozenset({RunStatus.INTERRUPTED, RunStatus.COMPLETED, RunStatus.FAILED})
TERMINAL = frozenset({RunStatus.COMPLETED, RunStatus.FAILED})


class Attention(enum.Enum):
    """Who is watching."""

    BLOCKING = "blocking"  # A request waits for the run.
    NOTIFY_ON_TERMINAL = "notifyOnTerminal"  # Nobody waits: tell the person when it ends.


class FailureCode(enum.Enum):
    """Why a step or a run failed; the closed set (N2)."""

    SCRIPT = "script"  # The script itself raised.
    STEP = "step"  # The work was done and said no (a command's exit code).
    VALIDATION = "validation"  # Output or input did not have the promised shape.
    TIMEOUT = "timeout"  # A time limit passed.
    INFRASTRUCTURE = "infrastructure"  # The work could not be done at all (no such program, a dead worker).
    LIMIT = "limit"  # A limit of `settings.py` was hit.


class Failure(msgspec.Struct, frozen=True, omit_defaults=True):
    """
    One failure, as journaled.

    Attributes:
        code: Member of `FailureCode`.
        message: For people, bounded by `failure_message_chars_max`.
        step_id: The step that failed, if one did.
        file, line: Where in the author's script, 1-based.
    """

    code: FailureCode
    message: str
    step_id: str | None = None
    file: str | None = None
    line: int | None = None


class RunResult(msgspec.Struct, frozen=True, omit_defaults=True):
    """
    What `main` returned.

    Attributes:
        report: Text for people.
        data_json: JSON text, or None when there is no data.
        file: Absolute path of the file that holds a result too large for its row; the other two are then None.
    """

    report: str | None = None
    data_json: str | None = None
    file: str | None = None


class StepCounts(msgspec.Struct, frozen=True):
    """
    Steps of a run, by what became of them.

    `completed` counts every finished step that is kept, `reused` those of them that an earlier execution finished,
    `known` every step the journal has heard of.
    """

    completed: int = 0
    reused: int = 0
    failed: int = 0
    running: int = 0
    known: int = 0


class NestedSums(msgspec.Struct, frozen=True, omit_defaults=True):
    """What the runs nested in a root came to together; of `steps` only completed, reused and known are counted."""

    steps: StepCounts = StepCounts()
    usage: Usage = Usage()
    finished: Spent = Spent()


class Owner(msgspec.Struct, frozen=True):
    """The process that may run a run. `owner_id` names its lock file; pid and since (ms) are for people."""

    owner_id: str
    pid: int
    since_ms: int


class RunRecord(msgspec.Struct, frozen=True, kw_only=True):
    """
    The row of one run. Times are milliseconds since the Unix epoch, UTC.

    Invariant: `claim_epoch <= epoch`, and both only grow.
    Invariant: `owner is None` is what quiescent means for a stopped root run.
    Invariant: a nested run has no owner: lease and fence stand on its root's row. Its `claim_epoch` is that of the
    root's claim under which it was made or last reopened.
    """

    run_id: str
    name: str
    # The folder's key: its real path, as computed once when it was named.
    folder: str
    # The URI the client used for it; echoed, never compared.
    folder_uri: str
    status: RunStatus
    epoch: int
    claim_epoch: int
    owner: Owner | None
    attention: Attention
    # Sequence of the last event, 0 when there is none yet.
    sequence: int
    created_at_ms: int
    updated_at_ms: int
    source_hash: str
    # The file the source came from, for messages; None for inline source.
    file: str | None
    # Arguments as given, JSON object text.
    args_json: str
    # The arguments' JSON Schema, JSON text.
    args_schema_json: str
    # The script reference as sent, canonical JSON; compared for start keys.
    script_ref: str
    root_run_id: str
    parent_run_id: str | None = None
    # 0 for a root run, 1 for its children ...
    depth: int = 0
    label: str | None = None
    start_key: str | None = None
    ended_at_ms: int | None = None
    deadline_at_ms: int | None = None
    auto_resume: bool = True
    # Automatic resumes since a step was last finished.
    automatic_resumes: int = 0
    reason: str | None = None
    phase: str | None = None
    steps: StepCounts = StepCounts()
    # Open questions.
    pending: int = 0
    result: RunResult | None = None
    error: Failure | None = None
    # What all its steps used, also failed ones; what its finished steps took, and of that what was there at the claim.
    usage: Usage = Usage()
    finished: Spent = Spent()
    kept: Spent = Spent()
    # Of a root: what the runs nested in it add to that. `kept` has it already.
    nested: NestedSums = NestedSums()
    # What the run was created with, for replay across versions.
    versions: dict[str, str] = {}

    @property
    def is_root(self) -> bool:
        return self.root_run_id == self.run_id

    @property
    def is_active(self) -> bool:
        return self.status in ACTIVE

    @property
    def is_stopped(self) -> bool:
        return self.status in STOPPED

    @property
    def is_quiescent(self) -> bool:
        """Stopped, and nothing of the old execution is left."""
        return self.is_stopped and self.owner is None

    # What it all came to: of a root with the runs nested in it, of a nested run its own.

    @property
    def all_usage(self) -> Usage:
        return self.usage.plus(self.nested.usage)

    @property
    def all_finished(self) -> Spent:
        return self.finished.plus(self.nested.finished.duration_ms, self.nested.finished.usage)

    @property
    def all_steps(self) -> StepCounts:
        """Steps by what became of them; `failed` and `running` are its own."""
        own, nested = self.steps, self.nested.steps
        return StepCounts(
            completed=own.completed + nested.completed,
            reused=own.reused + nested.reused,
            failed=own.failed,
            running=own.running,
            known=own.known + nested.known,
        )


class StepStatus(enum.Enum):
    """What a step's row says."""

    QUEUED = "queued"  # Waits for a place; no work began.
    STARTED = "started"  # Work began; no outcome is stored.
    COMPLETED = "completed"  # The output is stored and will be replayed.
    FAILED = "failed"  # The failure is stored; it replays on resume and is done again on retry.
    INTERRUPTED = "interrupted"  # Stopped while the run went on; done again if asked.
    SUPERSEDED = "superseded"  # A failure that a retry set aside.


class StepRecord(msgspec.Struct, frozen=True, kw_only=True):
    """
    One step of a run, keyed by `key`, the hash of (step id, kind, input).

    `claim_epoch` is the claim under which the stored status was written.
    """

    step_id: str
    key: str
    kind: str
    status: StepStatus
    attempt: int
    started_at_ms: int
    claim_epoch: int
    # Sequence of the event that gave the row its outcome; the order of completions.
    sequence: int
    ended_at_ms: int | None = None
    title: str | None = None
    phase: str | None = None
    line: int | None = None
    # Canonical JSON text of the output given to the script.
    output_json: str | None = None
    # When the output stands in a file: its path, relative to the store's folder of outputs.
    output_file: str | None = None
    failure: Failure | None = None
    # A sleep's end, fixed by its first start.
    wake_at_ms: int | None = None
    # The agent's own session, to go on with.
    session: str | None = None
    usage: Usage | None = None

    @property
    def has_output(self) -> bool:
        return self.status is StepStatus.COMPLETED


def loads(text: str) -> Any:
    """Decode JSON text that Sidestep itself wrote."""
    return msgspec.json.decode(text)
