"""`sidestep runs delete`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from sidestep.cli.opening import with_service, workspace
from sidestep.cli.options import store_option
from sidestep.cli.run_ids import complete_run_id, find_root_run

if TYPE_CHECKING:
    from sidestep.service.workflows import WorkflowService


@click.command(short_help="Remove stopped runs.", epilog="Example: sidestep runs delete run_k3 run_m7")
@click.argument("run_ids", metavar="RUN...", nargs=-1, required=True, shell_complete=complete_run_id)
@store_option
def delete(run_ids: tuple[str, ...], store: str | None) -> None:
    """Remove stopped runs with everything about them, nested runs too. This cannot be undone."""

    async def remove(service: WorkflowService) -> None:
        folder = str(workspace(None))
        # All are looked up before the first is gone: a mistyped id, or a nested run's, removes nothing.
        found = [await find_root_run(service.store, words, folder) for words in run_ids]
        for record in {record.run_id: record for record in found}.values():
            await service.delete(record.run_id)
            click.echo(f"{record.run_id} ({record.name}) is deleted.")

    with_service(store, remove)
