"""`sidestep runs events`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from sidestep.cli.event_lines import EventLines, stored_events
from sidestep.cli.opening import with_service, workspace
from sidestep.cli.options import json_option, run_id_argument, store_option
from sidestep.cli.plain import PlainLines
from sidestep.cli.run_ids import find_run
from sidestep.cli.run_view import RunView

if TYPE_CHECKING:
    from sidestep.service.workflows import WorkflowService


@click.command(short_help="Print what happened in a run.", epilog="Example: sidestep runs events last --json")
@run_id_argument
@click.option("--after", metavar="SEQUENCE", type=click.IntRange(0), default=0, help="Only what follows this one.")
@store_option
@json_option("one event a line")
def events(run_id: str, after: int, store: str | None, as_json: bool) -> None:
    """Print what happened in a run, from its journal."""

    async def tell(service: WorkflowService) -> None:
        record = await find_run(service.store, run_id, str(workspace(None)))
        if as_json:
            await EventLines(after).catch_up(service.store, record.run_id)
            return
        lines = PlainLines(RunView(record.name, record.run_id), sys.stdout)
        async for event in stored_events(service.store, record.run_id, after):
            lines.take(event)

    with_service(store, tell)
