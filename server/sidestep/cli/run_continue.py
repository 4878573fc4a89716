"""`sidestep runs continue`: the one verb a person needs to go on with a run, whatever stopped it."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

import click

from sidestep.cli import outcome
from sidestep.cli.invocation import Invocation, pass_invocation
from sidestep.cli.options import following_options, run_id_argument, store_option
from sidestep.model.errors import InvalidTransition, SidestepError
from sidestep.model.run import RunStatus
from sidestep.service.requests import ResumeRequest, RetryRequest

if TYPE_CHECKING:
    from sidestep.cli.following import Ask, OnRun
    from sidestep.model.abort import AbortSignal
    from sidestep.model.run import RunRecord
    from sidestep.service.workflows import WorkflowService


@dataclass(frozen=True)
class Continuation:
    """The words of one `runs continue`."""

    run_id: str
    edited: bool
    store: str | None
    trust: bool
    as_json: bool
    as_events: bool
    invocation: Invocation


@click.command(
    name="continue",
    short_help="Go on with a run that stopped.",
    epilog="""Examples:

\b
  sidestep runs continue last
  sidestep runs continue run_k3 --edited
""",
)
@run_id_argument
@click.option("--edited", is_flag=True, help="Take the script as it is now instead of as it was when the run began.")
@store_option
@following_options
@pass_invocation
def continue_run(
    invocation: Invocation,
    run_id: str,
    edited: bool,
    store: str | None,
    trust: bool,
    as_json: bool,
    as_events: bool,
) -> int:
    """
    Go on with a run that stopped; finished steps are not done again.

    An interrupted run goes on where it was. A failed one does its failed steps again; when the script itself was
    wrong, mend it and say --edited. A completed one prints its result.
    """
    return asyncio.run(_told(Continuation(run_id, edited, store, trust, as_json, as_events, invocation)))


async def _told(wanted: Continuation) -> int:
    try:
        return await _continue(wanted)
    except SidestepError as error:
        outcome.tell_refusal(error, as_json=wanted.as_json)
        raise


async def _continue(wanted: Continuation) -> int:
    from sidestep.cli.following import Follower
    from sidestep.cli.opening import opened, workspace
    from sidestep.cli.run_ids import find_run
    from sidestep.cli.trust_question import settle_trust

    async with opened(wanted.store) as app:
        service = await app.service()
        record = await find_run(service.store, wanted.run_id, str(workspace(None)))
        if record.status is not RunStatus.COMPLETED:
            settle_trust(app.library, workspace(record.folder), given=wanted.trust)
            events_after = record.sequence if wanted.as_events else None
            follower = Follower(service, record.name, wanted.invocation.signals, events_after=events_after)
            await follower.seed(record.run_id)
            try:
                record = await follower.follow(_verb(service, record, edited=wanted.edited))
            except InvalidTransition as refusal:
                raise _with_advice(refusal, record, wanted.invocation) from refusal
        return outcome.tell(record, wanted.invocation, as_json=wanted.as_json, as_events=wanted.as_events)


def _verb(service: WorkflowService, record: RunRecord, *, edited: bool) -> Ask:
    """Resume or retry, by the run's status; a failed built-in script is taken as it is now."""
    is_failed = record.status is RunStatus.FAILED
    edited = edited or (is_failed and outcome.is_built_in(record))

    async def retry(on_run: OnRun, signal: AbortSignal) -> RunRecord:
        request = RetryRequest(run_id=record.run_id, current_source=edited, on_run=on_run)
        return await service.retry(request, signal)

    async def resume(on_run: OnRun, signal: AbortSignal) -> RunRecord:
        return await service.resume(ResumeRequest(run_id=record.run_id, on_run=on_run), signal)

    return retry if edited or is_failed else resume


def _with_advice(refusal: InvalidTransition, record: RunRecord, invocation: Invocation) -> InvalidTransition:
    """The refusal; when the script itself has to change first, with the words to say then."""
    if record.status is not RunStatus.FAILED or refusal.root_run_id is not None:
        return refusal
    why = f"{refusal.why}\nMend it, then: {invocation.hint('runs', 'continue', record.run_id, '--edited')}"
    return InvalidTransition(run_id=refusal.run_id, status=refusal.status, why=why)
