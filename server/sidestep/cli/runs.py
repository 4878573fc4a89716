"""`sidestep runs`: look at runs, go on with them, stop them, remove them."""

from __future__ import annotations

import click

from sidestep.cli.program import LazyGroup

COMMANDS = {
    "list": "run_list:list_runs",
    "show": "run_show:show",
    "events": "run_events:events",
    "continue": "run_continue:continue_run",
    "interrupt": "run_interrupt:interrupt",
    "delete": "run_delete:delete",
    "prune": "run_prune:prune",
}


@click.group(cls=LazyGroup, table=COMMANDS, epilog="Example: sidestep runs continue last")
def runs() -> None:
    """
    Look at runs, go on with them, remove them.

    A run is named by its id, by the beginning of it, or as `last`: the newest run of this folder.
    """
