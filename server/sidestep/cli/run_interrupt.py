"""`sidestep runs interrupt`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from sidestep.cli.invocation import Invocation, pass_invocation
from sidestep.cli.opening import with_service, workspace
from sidestep.cli.options import run_id_argument, store_option
from sidestep.cli.run_ids import find_run

if TYPE_CHECKING:
    from sidestep.service.requests import Interrupted
    from sidestep.service.workflows import WorkflowService


@click.command(short_help="Stop a run; it can be continued.", epilog="Example: sidestep runs interrupt last")
@run_id_argument
@store_option
@pass_invocation
def interrupt(invocation: Invocation, run_id: str, store: str | None) -> None:
    """Stop a run, whichever process it is in. It keeps its finished steps and can be continued."""

    async def stop(service: WorkflowService) -> Interrupted:
        record = await find_run(service.store, run_id, str(workspace(None)))
        return await service.interrupt(record.run_id, by="terminal")

    done = with_service(store, stop)
    record = done.record
    if done.already_terminal:
        click.echo(f"{record.run_id} had already {record.status.value}.")
        return
    unwinding = "" if done.quiescent else "; its process has not let go of it yet"
    click.echo(f"{record.run_id} is {record.status.value}{unwinding}.")
    click.echo(f"Go on with: {invocation.hint('runs', 'continue', record.run_id)}", err=True)
