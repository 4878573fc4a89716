"""`sidestep runs prune`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from sidestep.cli.opening import with_service, workspace
from sidestep.cli.options import folder_option, store_option
from sidestep.cli.run_ids import newest
from sidestep.cli.terminal_text import local_time, plural, printable
from sidestep.cli.time_span import read_age
from sidestep.model.errors import SidestepError
from sidestep.model.ports import RunFilter
from sidestep.model.run import STOPPED, TERMINAL, RunStatus
from sidestep.system import SystemClock

if TYPE_CHECKING:
    from sidestep.model.run import RunRecord
    from sidestep.service.workflows import WorkflowService

# Runs looked at in one call.
_RUNS_MAX = 1_000_000


@click.command(
    short_help="Remove runs that stopped long ago.", epilog="Example: sidestep runs prune --older-than 30d --dry-run"
)
@click.option(
    "--older-than",
    metavar="AGE",
    callback=read_age,
    required=True,
    help="Stopped longer ago than this: a number and s, m (minutes), h, d or w, as 30d or 12h.",
)
@click.option(
    "--status",
    "statuses",
    multiple=True,
    type=click.Choice(sorted(status.value for status in STOPPED)),
    help="Only these; may be said again.  [default: completed, failed]",
)
@click.option("--dry-run", is_flag=True, help="Only say what would be removed.")
@click.option("--yes", is_flag=True, help="Do not ask; needed where nobody can be asked.")
@folder_option
@click.option("--all", "everywhere", is_flag=True, help="Runs of every folder, not only of this one.")
@store_option
def prune(
    older_than: int,
    statuses: tuple[str, ...],
    dry_run: bool,
    yes: bool,
    folder: str | None,
    everywhere: bool,
    store: str | None,
) -> None:
    """
    Remove runs that stopped long ago, with everything about them, nested runs too. This cannot be undone.

    Interrupted runs are kept unless --status names them: they can still be continued.
    """
    if everywhere and folder is not None:
        raise click.UsageError("--all and --folder exclude each other")
    can_ask = sys.stdin.isatty() and sys.stderr.isatty()
    if not (dry_run or yes or can_ask):
        raise click.UsageError("nobody can be asked here: say --yes to remove, or --dry-run to see what would be")
    before_ms = SystemClock().now_ms() - older_than
    wanted = RunFilter(
        folder=None if everywhere else str(workspace(folder)),
        statuses=frozenset(map(RunStatus, statuses)) or TERMINAL,
        created_before_ms=before_ms,
    )

    async def find(service: WorkflowService) -> list[RunRecord]:
        return [r async for r in newest(service.store, wanted, _RUNS_MAX) if r.updated_at_ms < before_ms]

    async def remove(service: WorkflowService) -> int:
        return sum([await _delete(service, record) for record in found])

    found = with_service(store, find)
    if dry_run or not yes:
        for record in found:
            click.echo(
                printable(f"{record.run_id}  {local_time(record.updated_at_ms)}  {record.name}"), err=not dry_run
            )
    if dry_run:
        click.echo(f"{plural(len(found), 'run')} would be deleted.", err=True)
        return
    if found and not yes:
        # The store is closed meanwhile: a question may wait for long.
        click.confirm(f"Delete {plural(len(found), 'run')}? This cannot be undone.", abort=True, err=True)
    deleted = with_service(store, remove) if found else 0
    click.echo(f"{plural(deleted, 'run')} deleted.", err=True)


async def _delete(service: WorkflowService, record: RunRecord) -> bool:
    """Delete one run; False when somebody else was faster or is using it."""
    try:
        await service.delete(record.run_id)
    except SidestepError as error:
        click.echo(printable(f"{record.run_id} is kept: {error}"), err=True)
        return False
    return True
