"""`sidestep runs`: look at runs, go on with them, stop them, remove them."""

from __future__ import annotations

import click

from sidestep.cli.invocation import Invocation, pass_invocation
from sidestep.cli.program import LazyGroup

COMMANDS = {
    "list": "run_list:list_runs",
    "show": "run_show:show",
    "events": "run_events:events",
    "continue": "run_continue:continue_run",
    "resume": "run_resume:resume",
    "retry": "run_retry:retry",
    "answer": "run_answer:answer",
    "background": "run_background:background",
    "interrupt": "run_interrupt:interrupt",
    "delete": "run_delete:delete",
    "prune": "run_prune:prune",
}


@click.group(cls=LazyGroup, table=COMMANDS, epilog="Example: sidestep runs continue last")
@pass_invocation
@click.pass_context
def runs(context: click.Context, invocation: Invocation) -> None:
    """
    Look at runs, go on with them, remove them.

    A run is named by its id, by the beginning of it, or as `last`: the newest run of this folder. A nested run, made
    by a workflow step of another, is named by its whole id; it is continued, stopped and removed with its root.
    """
    if context.invoked_subcommand is not None:
        invocation.typed_verb = (context.invoked_subcommand,)
