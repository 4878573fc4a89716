"""The application as a command uses it: built, used, closed; and the folder a command is about."""

from __future__ import annotations

import asyncio
import os
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import click

from sidestep.app import Application
from sidestep.cli.file_limit import make_room_for_files
from sidestep.cli.terminal_text import printable
from sidestep.model.abort import AbortKind, AbortReason
from sidestep.model.errors import WorkspaceInvalid
from sidestep.scripts.folder import FolderKey
from sidestep.settings import Settings

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable

    from sidestep.service.workflows import WorkflowService

T = TypeVar("T")

# What makes a folder a workspace; the first kind that is found above wins.
_MARKS = (".sidestep", ".git")


@asynccontextmanager
async def opened(store: str | None) -> AsyncGenerator[Application]:
    """The application for the length of one command; runs it conducts are interrupted on the way out."""
    app = Application(make_room_for_files(Settings()), store, os.environ)
    # Without a terminal a question interrupts its run, which tells how to answer and to go on (`cli/asking.py`).
    app.can_ask = True
    try:
        yield app
    finally:
        await app.close(AbortReason(AbortKind.SHUTDOWN, by="command line"))


def with_service(store: str | None, work: Callable[[WorkflowService], Awaitable[T]]) -> T:
    """Run `work` on the service, in an event loop of its own."""

    async def run() -> T:
        async with opened(store) as app:
            return await work(await app.service())

    return asyncio.run(run())


def tell_configuration(app: Application, folder: FolderKey) -> None:
    """Tell on stderr what the configuration that holds in a folder, whose trust is settled, has wrong."""
    for warning in app.agent_config(folder.path).warnings:
        click.echo(printable(f"warning: {warning}"), err=True)


def workspace(folder: str | None) -> FolderKey:
    """
    The folder a command is about: the one named, else the one it was called in.

    Raises:
        WorkspaceInvalid: it does not exist.
    """
    try:
        here = Path.cwd()
    except FileNotFoundError:
        raise WorkspaceInvalid("", "the folder you are in was deleted; go to another one") from None
    return FolderKey.existing(str(_marked_above(here) if folder is None else here / folder))


def _marked_above(path: Path) -> Path:
    """The nearest of `path` and the folders above that holds a mark; `path` if none does."""
    for mark in _MARKS:
        for candidate in (path, *path.parents):
            if (candidate / mark).exists():
                return candidate
    return path
