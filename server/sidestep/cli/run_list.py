"""`sidestep runs list`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click
import msgspec

from sidestep.cli.opening import with_service, workspace
from sidestep.cli.options import folder_option, json_option, store_option
from sidestep.cli.run_ids import newest
from sidestep.cli.terminal_text import local_time, one_line, plural, printable, table
from sidestep.lsp import convert
from sidestep.model.ports import RunFilter
from sidestep.model.run import ACTIVE, RunRecord, RunStatus
from sidestep_protocol.workflow import ListResult

if TYPE_CHECKING:
    from sidestep.service.workflows import WorkflowService

ACTIVE_WORD = "active"
STATUS_WORDS = [ACTIVE_WORD, *(status.value for status in RunStatus)]

status_option = click.option(
    "--status", "statuses", multiple=True, type=click.Choice(STATUS_WORDS), help="Only these; may be said again."
)


def statuses_of(words: tuple[str, ...]) -> frozenset[RunStatus] | None:
    """The statuses that words of `--status` mean; None for any."""
    if not words:
        return None
    named = {RunStatus(word) for word in words if word != ACTIVE_WORD}
    return frozenset(named | ACTIVE if ACTIVE_WORD in words else named)


@click.command(name="list", epilog="Example: sidestep runs list --status interrupted --all")
@status_option
@click.option("--all", "everywhere", is_flag=True, help="Runs of every folder, not only of this one.")
@click.option("--name", metavar="NAME", help="Only runs of this workflow.")
@click.option("--limit", metavar="N", type=click.IntRange(1, 10_000), default=20, show_default=True, help="At most N.")
@folder_option
@store_option
@json_option("the list")
def list_runs(
    statuses: tuple[str, ...],
    everywhere: bool,
    name: str | None,
    limit: int,
    folder: str | None,
    store: str | None,
    as_json: bool,
) -> None:
    """List runs, newest first."""
    if everywhere and folder is not None:
        raise click.UsageError("--all and --folder exclude each other")
    wanted = RunFilter(folder=None if everywhere else str(workspace(folder)), statuses=statuses_of(statuses), name=name)

    async def collect(service: WorkflowService) -> tuple[list[RunRecord], str]:
        return [record async for record in newest(service.store, wanted, limit)], service.owner_id

    found, owner_id = with_service(store, collect)
    if as_json:
        listed = ListResult(runs=[convert.run_summary(each, owner_id) for each in found], next_cursor=None)
        click.echo(msgspec.json.encode(listed))
    elif found:
        for line in table([_row(record) for record in found]):
            click.echo(printable(line))
    else:
        click.echo(printable(_nothing_found(wanted)), err=True)


def _nothing_found(wanted: RunFilter) -> str:
    """Why the list is empty: there is nothing, or nothing that what was asked for lets through."""
    named = "" if wanted.name is None else f" of the workflow {wanted.name!r}"
    status = "" if wanted.statuses is None else f" that are {' or '.join(sorted(s.value for s in wanted.statuses))}"
    where = "" if wanted.folder is None else f" in {wanted.folder}; --all looks in every folder"
    return f"No runs{named}{status}{where}."


def _row(record: RunRecord) -> list[str]:
    steps = record.steps
    done = f"{steps.completed} done" + (f", {steps.failed} failed" if steps.failed else "")
    done += f", {plural(record.pending, 'question')}" if record.pending else ""
    status = record.status.value + (f" ({record.reason})" if record.reason else "")
    name = record.name + (f" [{one_line(record.label, 40)}]" if record.label else "")
    return [record.run_id, local_time(record.created_at_ms), status, name, done]
