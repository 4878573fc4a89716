"""
Model records as SQL parameters and back.

Owns the stored shape of runs and steps; executes nothing. Everything that can fail to encode fails here, before the
first statement of a write runs.
"""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec.structs import replace

from sidestep.model.run import Failure, RunRecord, StepRecord, StepStatus
from sidestep.model.usage import Usage

KEY_BYTES = 16

# A run's steps have the places from its number times this on: the sequence of the event that made each is added.
_PLACES_OF_RUN = 1 << 32
SEQUENCE_MAX = _PLACES_OF_RUN - 1

# What decoding damaged rows raises: not JSON or the wrong shape; bytes that are no UTF-8.
UNREADABLE = (msgspec.MsgspecError, ValueError)

_record_decoder = msgspec.json.Decoder(RunRecord)
_encode = msgspec.json.Encoder().encode


class Inputs(msgspec.Struct, frozen=True):
    """What a run was created with and never changes; kept out of the row that every step rewrites."""

    args_json: str
    args_schema_json: str
    script_ref: str


class _StepDetails(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """The fields most steps do not have."""

    title: str | None = None
    phase: str | None = None
    line: int | None = None
    failure: Failure | None = None
    wake_at_ms: int | None = None
    session: str | None = None
    usage: Usage | None = None


_NO_DETAILS = _StepDetails()
_details_decoder = msgspec.json.Decoder(_StepDetails)


def pack_text(text: str) -> str | bytes:
    """Text for a column without a declared type; bytes when it has lone surrogates, which SQLite's TEXT cannot hold."""
    if text.isascii():
        return text
    encoded = text.encode("utf-8", "surrogatepass")
    try:
        encoded.decode("utf-8")
    except UnicodeDecodeError:
        return encoded
    return text


def unpack_text(stored: bytes) -> str:
    """The text of a column read with `CAST(... AS BLOB)`."""
    return stored.decode("utf-8", "surrogatepass")


def pack_key(key: str) -> bytes | str:
    """A step's key in half its size; kept as it is when it is no lower-case hash."""
    if len(key) == 2 * KEY_BYTES:
        try:
            packed = bytes.fromhex(key)
        except ValueError:
            return key
        if packed.hex() == key:
            return packed
    return key


def unpack_key(stored: bytes | str) -> str:
    return stored.hex() if isinstance(stored, bytes) else stored


def place_of_step(run: int, first_sequence: int) -> int:
    """The place of a step whose row was made by that event; grows with it, within the run."""
    assert 0 <= first_sequence <= SEQUENCE_MAX, "a run has fewer events than there are places"
    return run * _PLACES_OF_RUN + first_sequence


def places_of_run(run: int) -> tuple[int, int]:
    """The first place and the last one of a run's steps: parameters for `BETWEEN ? AND ?`."""
    return place_of_step(run, 0), place_of_step(run, SEQUENCE_MAX)


def first_sequence_at(place: int) -> int:
    """The sequence of the event that made the step at a place."""
    return place % _PLACES_OF_RUN


def inputs_of(record: RunRecord) -> Inputs:
    return Inputs(record.args_json, record.args_schema_json, record.script_ref)


def search_words(record: RunRecord) -> str:
    """What a text search looks into: name and label, case-folded."""
    return f"{record.name}\n{record.label or ''}".casefold()


def encode_record(record: RunRecord) -> str:
    """JSON of the whole row but its inputs; new fields of the record are stored without a migration."""
    return _encode(replace(record, args_json="", args_schema_json="", script_ref="")).decode()


def decode_record(stored: bytes, inputs: Inputs) -> RunRecord:
    """
    The row that `encode_record` wrote, with its inputs.

    Raises:
        One of `UNREADABLE`: the row is damaged.
    """
    return replace(
        _record_decoder.decode(stored),
        args_json=inputs.args_json,
        args_schema_json=inputs.args_schema_json,
        script_ref=inputs.script_ref,
    )


# The columns of a step that may change after its row was made, in the order of `step_values`.
STEP_COLUMNS = (
    *("step_id", "kind", "status", "attempt", "started_at_ms", "ended_at_ms"),
    *("claim_epoch", "sequence", "details", "output_file", "output_json"),
)
_STEP_READ = (
    "place, key, step_id, kind, status, attempt, started_at_ms, ended_at_ms, claim_epoch, sequence, "
    "CAST(details AS BLOB), output_file"
)
# The columns `decode_step` takes. Outputs may be large: a look-up for the journal's rules leaves them out.
STEP_SELECTED = f"{_STEP_READ}, CAST(output_json AS BLOB)"
STEP_SELECTED_WITHOUT_OUTPUT = f"{_STEP_READ}, NULL"


def step_values(step: StepRecord) -> tuple[Any, ...]:
    """Parameters for `STEP_COLUMNS`."""
    details = _StepDetails(
        title=step.title,
        phase=step.phase,
        line=step.line,
        failure=step.failure,
        wake_at_ms=step.wake_at_ms,
        session=step.session,
        usage=step.usage,
    )
    return (
        step.step_id,
        step.kind,
        step.status.value,
        step.attempt,
        step.started_at_ms,
        step.ended_at_ms,
        step.claim_epoch,
        step.sequence,
        None if details == _NO_DETAILS else _encode(details).decode(),
        step.output_file,
        None if step.output_json is None else pack_text(step.output_json),
    )


def decode_step(row: tuple[Any, ...]) -> StepRecord:
    """
    A step from a row of `STEP_SELECTED`.

    Raises:
        One of `UNREADABLE`: the row is damaged.
    """
    details = _NO_DETAILS if row[10] is None else _details_decoder.decode(row[10])
    return StepRecord(
        key=unpack_key(row[1]),
        step_id=row[2],
        kind=row[3],
        status=StepStatus(row[4]),
        attempt=row[5],
        started_at_ms=row[6],
        ended_at_ms=row[7],
        claim_epoch=row[8],
        sequence=row[9],
        title=details.title,
        phase=details.phase,
        line=details.line,
        failure=details.failure,
        wake_at_ms=details.wake_at_ms,
        session=details.session,
        usage=details.usage,
        output_file=row[11],
        output_json=None if row[12] is None else unpack_text(row[12]),
    )
