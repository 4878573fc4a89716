"""
What `runs continue`, `runs resume` and `runs retry` do: go on with a stopped run and wait for it.

They differ in the verb alone; `continue` takes the one that the run's status asks for. What the service refuses is told
with the words that would work.
"""

from __future__ import annotations

import asyncio
import enum
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sidestep.cli import outcome
from sidestep.cli.following import Follower
from sidestep.cli.opening import opened, tell_configuration, workspace
from sidestep.cli.run_ids import find_root_run
from sidestep.cli.trust_question import settle_trust
from sidestep.model.errors import InvalidTransition, SidestepError
from sidestep.model.run import ACTIVE, RunStatus
from sidestep.model.transitions import RunEvent, next_status
from sidestep.service.requests import ResumeRequest, RetryRequest

if TYPE_CHECKING:
    from sidestep.cli.following import Ask
    from sidestep.cli.invocation import Invocation
    from sidestep.model.abort import AbortSignal
    from sidestep.model.run import RunRecord
    from sidestep.service.requests import OnRun
    from sidestep.service.workflows import WorkflowService


class Verb(enum.Enum):
    """How to go on."""

    CONTINUE = "continue"  # As the run's status asks for.
    RESUME = "resume"  # Where it was interrupted.
    RETRY = "retry"  # With its failed steps done again.


@dataclass(frozen=True)
class Continuation:
    """The words of one command. `edited`: with the script as it is now."""

    verb: Verb
    invocation: Invocation
    run_id: str
    deadline_s: int | None
    store: str | None
    trust: bool
    as_json: bool
    as_events: bool
    edited: bool = False


def go_on(wanted: Continuation) -> int:
    """Go on with the run and wait until it stops. Returns the exit code."""
    if wanted.edited:
        wanted.invocation.typed_verb = (wanted.verb.value, "--edited")
    return asyncio.run(_told(wanted))


async def _told(wanted: Continuation) -> int:
    try:
        return await _go_on(wanted)
    except SidestepError as error:
        outcome.tell_refusal(error, as_json=wanted.as_json)
        raise


async def _go_on(wanted: Continuation) -> int:
    async with opened(wanted.store) as app:
        service = await app.service()
        record = await find_root_run(service.store, wanted.run_id, str(workspace(None)))
        try:
            if record.status is not RunStatus.COMPLETED:
                folder = workspace(record.folder)
                settle_trust(app.library, folder, given=wanted.trust)
                tell_configuration(app, folder)
                record = await _follow(service, record, wanted)
            elif wanted.verb is Verb.RETRY:
                next_status(record.run_id, record.status, RunEvent.RETRY)
        except InvalidTransition as refusal:
            raise _with_advice(refusal, record, wanted) from refusal
        questions = await outcome.questions_of(service, record)
        return outcome.tell(record, wanted.invocation, questions, as_json=wanted.as_json, as_events=wanted.as_events)


async def _follow(service: WorkflowService, record: RunRecord, wanted: Continuation) -> RunRecord:
    events_after = record.sequence if wanted.as_events else None
    follower = Follower(service, record.name, wanted.invocation, events_after=events_after)
    await follower.seed(record.run_id)
    return await follower.follow(_asking(service, record, wanted))


def _asking(service: WorkflowService, record: RunRecord, wanted: Continuation) -> Ask:
    """Resume or retry; a failed built-in script is taken as it is now, for nobody can mend it."""
    is_failed = record.status is RunStatus.FAILED
    edited = wanted.edited or (is_failed and outcome.is_built_in(record))

    async def retry(on_run: OnRun, signal: AbortSignal) -> RunRecord:
        request = RetryRequest(run_id=record.run_id, current_source=edited, deadline_s=wanted.deadline_s, on_run=on_run)
        return await service.retry(request, signal)

    async def resume(on_run: OnRun, signal: AbortSignal) -> RunRecord:
        request = ResumeRequest(run_id=record.run_id, deadline_s=wanted.deadline_s, on_run=on_run)
        return await service.resume(request, signal)

    if wanted.verb is Verb.CONTINUE:
        return retry if edited or is_failed else resume
    return retry if wanted.verb is Verb.RETRY else resume


def _with_advice(refusal: InvalidTransition, record: RunRecord, wanted: Continuation) -> InvalidTransition:
    """The refusal with the commands that would work; `record` as of when it was asked."""
    if refusal.root_run_id is not None:
        return refusal
    advice = "\n".join(_advice(record, RunStatus(refusal.status), wanted))
    why = f"{refusal.why}\n{advice}" if advice else refusal.why
    return InvalidTransition(run_id=refusal.run_id, status=refusal.status, why=why)


def _advice(record: RunRecord, status: RunStatus, wanted: Continuation) -> list[str]:
    def hint(verb: str, *options: str) -> str:
        return wanted.invocation.hint("runs", verb, record.run_id, *options)

    if status is RunStatus.COMPLETED:
        return [f"See its result with: {hint('show')}"]
    if status is RunStatus.FAILED and wanted.verb is Verb.RESUME:
        if outcome.wants_edited(record) and not outcome.is_built_in(record):
            return [f"Mend the script, then: {hint('retry', '--edited')}"]
        return [f"Do its failed steps again with: {hint('retry')}"]
    if status is RunStatus.FAILED:
        return [f"Mend it, then: {hint(wanted.verb.value, '--edited')}"]
    if status is RunStatus.INTERRUPTED:
        return [f"Resume it with: {hint('resume')}", f"Or take the script as it is now: {hint('retry', '--edited')}"]
    return [f"Stop it with: {hint('interrupt')}"] if status in ACTIVE else []
