"""`sidestep runs background`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from sidestep.cli.invocation import Invocation, pass_invocation
from sidestep.cli.opening import with_service, workspace
from sidestep.cli.options import run_id_argument, store_option
from sidestep.cli.run_ids import find_root_run
from sidestep.model.errors import InvalidTransition
from sidestep.model.run import RunStatus

if TYPE_CHECKING:
    from sidestep.model.run import RunRecord
    from sidestep.service.workflows import WorkflowService


@click.command(
    short_help="Release whoever waits for a run; it goes on.", epilog="Example: sidestep runs background run_k3"
)
@run_id_argument
@store_option
@pass_invocation
def background(invocation: Invocation, run_id: str, store: str | None) -> None:
    """
    Move a run to the background: an editor or another program that waits for it is answered, and the run goes on.

    Nothing is stopped or begun again. A `sidestep run` says so and stays: its run still ends with it.
    """

    async def release(service: WorkflowService) -> tuple[RunRecord, RunRecord]:
        found = await find_root_run(service.store, run_id, str(workspace(None)))
        try:
            return found, await service.background(found.run_id)
        except InvalidTransition as refusal:
            raise _with_advice(refusal, invocation) from refusal

    before, record = with_service(store, release)
    if before.status is RunStatus.BACKGROUNDED:
        click.echo(f"{record.run_id} is in the background already.")
    else:
        where = "" if record.owner is None else f"; process {record.owner.pid} goes on with it"
        click.echo(f"{record.run_id} is in the background{where}.")


def _with_advice(refusal: InvalidTransition, invocation: Invocation) -> InvalidTransition:
    """Why nobody can be released, and what to say instead."""
    if refusal.status == RunStatus.INTERRUPTED.value:
        why = f"nobody waits for it. Go on with it:\n  {invocation.hint('runs', 'continue', refusal.run_id)}"
    else:
        why = f"nobody waits for it. See what became of it:\n  {invocation.hint('runs', 'show', refusal.run_id)}"
    return InvalidTransition(run_id=refusal.run_id, status=refusal.status, why=why)
