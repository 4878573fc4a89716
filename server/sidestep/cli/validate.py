"""`sidestep validate`: check scripts without running them."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING

import click

from sidestep.cli.complaints import problem_line
from sidestep.cli.exits import Exit
from sidestep.cli.opening import opened
from sidestep.cli.terminal_text import plural, printable
from sidestep.model.errors import ScriptInvalid, ScriptNotFound
from sidestep.scripts.file_uri import uri_of_path

if TYPE_CHECKING:
    from sidestep.model.problems import ScriptProblem
    from sidestep.service.library import Library


@click.command(
    short_help="Check scripts without running them.", epilog="Example: sidestep validate .sidestep/workflows/*.py"
)
@click.argument("paths", metavar="PATH...", nargs=-1, required=True, type=click.Path())
def validate(paths: tuple[str, ...]) -> int:
    """
    Check scripts and print what is wrong as FILE:LINE:COLUMN: SEVERITY: MESSAGE.

    Nothing is run. The exit code is 2 when a script has errors, 5 when a file cannot be read.
    """
    return asyncio.run(_validate({path: uri_of_path(os.path.abspath(path)) for path in paths}))


async def _validate(uris: dict[str, str]) -> int:
    """Check the scripts by their names for people. Returns the exit code."""
    worst = Exit.COMPLETED
    errors = 0
    async with opened(None) as app:
        for path, uri in uris.items():
            try:
                problems = await _problems(app.library, uri)
            except ScriptNotFound as missing:
                click.echo(printable(f"{path}: {missing.why or missing}"), err=True)
                worst = Exit.NOT_FOUND
                continue
            for p in problems:
                click.echo(printable(problem_line(path, p.line, p.column, p.message, p.severity)))
                errors += p.severity == "error"
    click.echo(f"{plural(len(uris), 'script')} checked, {plural(errors, 'error')}.", err=True)
    return worst or (Exit.USAGE if errors else Exit.COMPLETED)


async def _problems(library: Library, uri: str) -> tuple[ScriptProblem, ...]:
    try:
        return tuple((await library.check_text(uri, None))[1])
    except ScriptInvalid as invalid:
        return invalid.problems
