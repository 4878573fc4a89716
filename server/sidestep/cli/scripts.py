"""`sidestep scripts`: what can be run here, and a starter for one's own."""

from __future__ import annotations

import asyncio
import os
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

import click
import msgspec

from sidestep.cli.opening import opened, workspace
from sidestep.cli.options import folder_option, json_option, store_option
from sidestep.cli.starter import builtin_names, builtin_text, starter_text
from sidestep.cli.terminal_text import one_line, printable, table
from sidestep.lsp import convert
from sidestep.scripts.discovery import NAME_RULE, PROJECT_ROOT, is_name
from sidestep.scripts.near_names import did_you_mean
from sidestep_protocol.workflow import ScriptsResult

if TYPE_CHECKING:
    from sidestep.scripts.discovery import ScriptInfo


@click.group(
    short_help="List what can be run here; write a starter.",
    invoke_without_command=True,
    epilog="""Examples:

\b
  sidestep scripts
  sidestep scripts new my-flow
""",
)
@folder_option
@store_option
@json_option("the list")
@click.pass_context
def scripts(context: click.Context, folder: str | None, store: str | None, as_json: bool) -> None:
    """List the workflows that can be run here: the project's, your own, the built-in ones."""
    if context.invoked_subcommand is not None:
        return

    async def collect() -> list[ScriptInfo]:
        async with opened(store) as app:
            return await app.library.scripts(workspace(folder))

    found = asyncio.run(collect())
    if as_json:
        click.echo(msgspec.json.encode(ScriptsResult(scripts=[convert.script_info(each) for each in found])))
        return
    for line in table([_row(script) for script in found]):
        click.echo(printable(line))


def _row(script: ScriptInfo) -> list[str]:
    told = script.description if script.blocked_reason is None else f"cannot run: {script.blocked_reason}"
    return [script.name, script.scope, one_line(told, 120)]


def _names_of_built_ins(_: click.Context, __: click.Parameter, incomplete: str) -> list[str]:
    return [name for name in builtin_names() if name.startswith(incomplete)]


@scripts.command(
    short_help="Write a starter to begin from.",
    epilog="""Examples:

\b
  sidestep scripts new my-flow
  sidestep scripts new my-review --from review
""",
)
@click.argument("name")
@click.option(
    "--from",
    "builtin",
    metavar="BUILTIN",
    shell_complete=_names_of_built_ins,
    help="Begin from a built-in workflow: implement, review, research, repo-report.",
)
@folder_option
def new(name: str, builtin: str | None, folder: str | None) -> None:
    """
    Write a starter to .sidestep/workflows/NAME.py, with comments to begin from. Never overwrites a file.

    `sidestep guide` prints how such a script is written.
    """
    if not is_name(name):
        raise click.UsageError(f"{name!r} cannot be a workflow's name: {NAME_RULE}")
    if builtin is not None and builtin not in builtin_names():
        known = ", ".join(builtin_names())
        raise click.UsageError(
            f"there is no built-in workflow {builtin!r}; there are {known}.{did_you_mean(builtin, builtin_names())}"
        )
    path = Path(str(workspace(folder)), PROJECT_ROOT, f"{name}.py")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("x", encoding="utf-8") as file:
            file.write(starter_text() if builtin is None else builtin_text(builtin))
    except FileExistsError:
        raise click.UsageError(f"{path} is there already; it was left as it is") from None
    except OSError as error:
        raise click.UsageError(f"cannot write {path}: {error.strerror or error}") from None
    shown = printable(os.path.relpath(path))
    click.echo(shown)
    if name in builtin_names():
        click.echo(f"From now on `sidestep run {name}` is this one here, instead of the built-in one.", err=True)
    click.echo("Next:", err=True)
    click.echo(f"  edit it             {shown}", err=True)
    click.echo(f"  check it            sidestep validate {shlex.quote(shown)}", err=True)
    click.echo(f"  what it takes       sidestep run {name} --help", err=True)
    click.echo(f"  run it              sidestep run {name}", err=True)
    click.echo("  how to write it     sidestep guide", err=True)
