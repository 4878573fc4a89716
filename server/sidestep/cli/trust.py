"""`sidestep trust`: the user's list of folders in which workflows may run."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from sidestep.cli.opening import opened, workspace
from sidestep.cli.options import store_option
from sidestep.cli.run_ids import newest
from sidestep.cli.terminal_text import plural, printable
from sidestep.model.errors import StoreUnavailable
from sidestep.model.ports import RunFilter
from sidestep.model.run import ACTIVE
from sidestep.scripts.folder import FolderKey
from sidestep.scripts.trust import TrustList
from sidestep.store.location import store_location

if TYPE_CHECKING:
    from sidestep.app import Application


@click.command(
    short_help="Let workflows run in a folder.",
    epilog="""Examples:

\b
  sidestep trust
  sidestep trust ~/src/project --revoke
""",
)
@click.argument("folder", required=False, type=click.Path())
@click.option("--revoke", is_flag=True, help="Trust it no more, and interrupt what runs there.")
@click.option("--list", "wants_list", is_flag=True, help="Print the trusted folders.")
@store_option
def trust(folder: str | None, revoke: bool, wants_list: bool, store: str | None) -> None:
    """
    Trust a folder: workflows in it and below it may run any command as you.

    Without FOLDER the one you are in is meant. Editors and the command line share the list.
    """
    if wants_list:
        if folder is not None or revoke:
            raise click.UsageError("--list takes no folder and no --revoke")
        _print_list(store)
    elif revoke:
        # A folder that is gone can still be on the list.
        named = workspace(None) if folder is None else FolderKey.named(str(Path(folder).absolute()))
        asyncio.run(_revoke(named, store))
    else:
        asyncio.run(_trust(workspace(folder), store))


def _print_list(store: str | None) -> None:
    listed = TrustList(store_location(store, os.environ).folder / "trust.json").read()
    if listed.problem is not None:
        raise StoreUnavailable(f"{listed.problem}.", "Mend or remove the file.")
    for path, trusted in listed.folders.items():
        click.echo(printable(path if trusted else f"not {path}"))


async def _trust(folder: FolderKey, store: str | None) -> None:
    async with opened(store) as app:
        app.library.set_trust([folder], trusted=True, remember=True)
    click.echo(printable(f"{folder} is trusted."), err=True)


async def _revoke(folder: FolderKey, store: str | None) -> None:
    async with opened(store) as app:
        app.library.set_trust([folder], trusted=False, remember=True)
        interrupted = await _interrupt_untrusted(app)
    stopped = f", {plural(interrupted, 'run')} interrupted" if interrupted else ""
    click.echo(printable(f"{folder} is not trusted any more{stopped}."), err=True)


async def _interrupt_untrusted(app: Application) -> int:
    """Stop what runs where nothing may run any more, in whichever process; returns how many runs."""
    if not app.location.database.exists():
        return 0
    service = await app.service()
    active = [record async for record in newest(service.store, RunFilter(statuses=ACTIVE))]
    untrusted = [record for record in active if not app.library.is_trusted(FolderKey(record.folder))]
    for record in untrusted:
        await service.interrupt(record.run_id, by="trust")
    return len(untrusted)
