"""`sidestep runs interrupt`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from sidestep.cli.invocation import Invocation, pass_invocation
from sidestep.cli.opening import with_service, workspace
from sidestep.cli.options import run_id_argument, store_option
from sidestep.cli.run_ids import find_run
from sidestep.model.run import TERMINAL

if TYPE_CHECKING:
    from sidestep.model.run import RunRecord
    from sidestep.service.requests import Interrupted
    from sidestep.service.workflows import WorkflowService


@click.command(short_help="Stop a run; it can be continued.", epilog="Example: sidestep runs interrupt last")
@run_id_argument
@store_option
@pass_invocation
def interrupt(invocation: Invocation, run_id: str, store: str | None) -> None:
    """
    Stop a run, whichever process it is in. It keeps its finished steps and can be continued.

    A nested run is stopped with its root and everything below that.
    """

    async def stop(service: WorkflowService) -> tuple[Interrupted, RunRecord]:
        record = await find_run(service.store, run_id, str(workspace(None)))
        done = await service.interrupt(record.run_id, by="terminal")
        return done, await service.store.read(record.root_run_id)

    done, root = with_service(store, stop)
    record = done.record
    if record.status in TERMINAL:
        click.echo(f"{record.run_id} had already {record.status.value}.")
        if root.is_active:
            click.echo(f"It is a nested run of {root.run_id}, which goes on. Stop that with:", err=True)
            click.echo(f"  {invocation.hint('runs', 'interrupt', root.run_id)}", err=True)
        return
    if not record.is_root:
        click.echo(f"{record.run_id} is {record.status.value}: it is a nested run of {root.run_id}.")
    if root.status in TERMINAL:
        click.echo(f"{root.run_id} had already {root.status.value}.")
        return
    unwinding = "" if done.quiescent else "; its process has not let go of it yet"
    click.echo(f"{root.run_id} is {root.status.value}{unwinding}.")
    click.echo(f"Go on with: {invocation.hint('runs', 'continue', root.run_id)}", err=True)
