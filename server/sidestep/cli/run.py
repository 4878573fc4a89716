"""`sidestep run`: start a workflow, watch it, print its report."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import click

from sidestep.cli.invocation import Invocation, pass_invocation
from sidestep.cli.options import folder_option, following_options, store_option
from sidestep.cli.script_names import complete_script, script_reference

if TYPE_CHECKING:
    from sidestep.cli.starting import Start


class _RunCommand(click.Command):
    """`run`, for which a word like `--rounds=3` is most likely an argument of the workflow."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        words = list(args)
        try:
            return super().parse_args(ctx, args)
        except click.NoSuchOption as error:
            name = error.option_name.lstrip("-")
            if not name.isidentifier() or error.possibilities:
                raise
            typed = next((word for word in words if word.startswith(f"{error.option_name}=")), f"{name}=VALUE")
            why = f"no such option: {error.option_name}. An argument of the workflow is written {typed.lstrip('-')}"
            raise click.UsageError(why, ctx) from error


@click.command(
    cls=_RunCommand,
    add_help_option=False,
    epilog="""Examples:

\b
  sidestep run repo-report
  sidestep run repo-report commits=500 --deadline 15m
  sidestep run ./flows/review.py paths=src paths=tests --json
""",
)
@click.argument("script", metavar="NAME|PATH", required=False, shell_complete=complete_script)
@click.argument("words", metavar="[KEY=VALUE]...", nargs=-1, type=click.UNPROCESSED)
@click.option("--args-json", metavar="JSON|@FILE|-", help="All arguments as one JSON object; - reads stdin.")
@click.option("--start-key", metavar="KEY", help="Start at most once: the same key finds the same run again.")
@click.option("--label", metavar="TEXT", help="A name for this run, shown in lists.")
@folder_option
@store_option
@following_options
@click.option("-h", "--help", "wants_help", is_flag=True, help="Show this, or with NAME what the workflow takes.")
@pass_invocation
@click.pass_context
def run(
    context: click.Context,
    invocation: Invocation,
    script: str | None,
    words: tuple[str, ...],
    args_json: str | None,
    start_key: str | None,
    label: str | None,
    folder: str | None,
    store: str | None,
    deadline_s: int | None,
    trust: bool,
    as_json: bool,
    as_events: bool,
    wants_help: bool,
) -> int:
    """
    Run a workflow and print its report.

    Arguments are given as key=value, taken by the type the workflow declares; key:=JSON gives any value, key=@FILE a
    file's text, and a key said again adds to a list. The report goes to stdout, everything else to stderr.

    Ctrl-C interrupts the run; `sidestep runs continue` goes on with it and does no finished step again. What the
    workflow asks is asked at the terminal; without one the run is interrupted, and it says how to answer.

    Exit codes: 0 completed, 1 failed, 2 usage, script or arguments invalid, 3 store, 4 interrupted, 5 not found,
    6 owned by another process, 7 untrusted.
    """
    if script is None:
        if wants_help:
            click.echo(context.get_help())
            return 0
        raise click.UsageError("which workflow? `sidestep scripts` lists them", context)
    from sidestep.cli import starting

    invocation.typed_script = script
    start: Start = starting.Start(
        reference=script_reference(script),
        words=words,
        args_json=args_json,
        start_key=start_key,
        label=label,
        folder=folder,
        store=store,
        deadline_s=deadline_s,
        trust=trust,
        as_json=as_json,
        as_events=as_events,
        invocation=invocation,
    )
    if wants_help:
        return asyncio.run(starting.describe(start))
    return asyncio.run(starting.run(start))
