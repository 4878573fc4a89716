"""Options that several commands have in common, so that they read the same everywhere."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

import click
from click.core import ParameterSource

from sidestep.cli.invocation import Invocation
from sidestep.cli.run_ids import complete_run_id
from sidestep.cli.time_span import read_deadline
from sidestep.store.location import STORE_VARIABLE

if TYPE_CHECKING:
    from collections.abc import Callable

Command = TypeVar("Command", bound="Callable[..., object]")


def _note_store(context: click.Context, parameter: click.Parameter, path: str | None) -> str | None:
    """Remember a store that was typed, for the commands that are proposed later."""
    if path is not None and context.get_parameter_source(parameter.name or "") is ParameterSource.COMMANDLINE:
        context.ensure_object(Invocation).typed_store = path
    return path


store_option = click.option(
    "--store",
    metavar="PATH",
    envvar=STORE_VARIABLE,
    callback=_note_store,
    help="The store's database file.  [default: $SIDESTEP_STORE, else your own]",
)
folder_option = click.option(
    "--folder",
    metavar="DIR",
    type=click.Path(),
    help="The workspace.  [default: the nearest folder with .sidestep or .git, else this one]",
)
trust_option = click.option("--trust", is_flag=True, help="Trust the folder, for this command only.")
run_id_argument = click.argument("run_id", metavar="RUN", shell_complete=complete_run_id)


def json_option(what: str) -> Callable[[Command], Command]:
    """`--json`, with what it prints."""
    return click.option("--json", "as_json", is_flag=True, help=f"Print {what} as JSON, with the protocol's names.")


def following_options(command: Command) -> Command:
    """`--deadline`, `--json`, `--events` and `--trust`, of the commands that wait for a run."""
    command = trust_option(command)
    command = click.option(
        "--events", "as_events", is_flag=True, help="Print the run's events as they happen, one JSON a line."
    )(command)
    command = click.option("--json", "as_json", is_flag=True, help="Print one line of JSON at the end: the outcome.")(
        command
    )
    return click.option(
        "--deadline",
        "deadline_s",
        metavar="TIME",
        callback=read_deadline,
        help="Interrupt the run after this time: a number and s, m (minutes), h, d or w, as 90s or 2h.",
    )(command)


edited_option = click.option(
    "--edited", is_flag=True, help="Take the script as it is now instead of as it was when the run began."
)
