"""Whether a command may run scripts in a folder: `--trust`, or the person at the terminal."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from sidestep.cli.terminal_text import printable

if TYPE_CHECKING:
    from sidestep.scripts.folder import FolderKey
    from sidestep.service.library import Library


def settle_trust(library: Library, folder: FolderKey, *, given: bool) -> None:
    """
    Make sure the folder is trusted, or leave it untrusted: the service then refuses.

    Args:
        given: `--trust` was said: for this process only. Otherwise a person at a terminal is asked, and a yes is
            remembered.
    """
    if given:
        library.trust_for_session([folder])
    elif not library.is_trusted(folder) and sys.stdin.isatty() and sys.stderr.isatty():
        click.echo(printable(f"{folder} is not trusted yet."), err=True)
        question = "Workflows in it can run any command as you. Trust it from now on?"
        if click.confirm(question, default=False, err=True):
            library.set_trust([folder], trusted=True, remember=True)
