"""Which script a person means by a word: a name, or a path; and the names there are, for the shell."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import TYPE_CHECKING

from click.shell_completion import CompletionItem

from sidestep.model.errors import SidestepError

if TYPE_CHECKING:
    import click

    from sidestep.scripts.resolver import ScriptReference


def script_reference(word: str) -> ScriptReference:
    """As everywhere, but a path is relative to where the person is, not to the workspace."""
    from sidestep.scripts.file_uri import scheme_of
    from sidestep.scripts.resolver import FileScript, reference_of_word

    reference = reference_of_word(word)
    if isinstance(reference, FileScript) and scheme_of(word) is None:
        return FileScript(str(Path(word).expanduser().absolute()))
    return reference


def _has_separator(word: str) -> bool:
    return os.sep in word or (os.altsep or os.sep) in word


def complete_script(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Names of workflows; files for what looks like a path, and where no name fits. For the shell."""
    from sidestep.cli.opening import opened, workspace

    files = [CompletionItem(incomplete, type="file")]
    if incomplete.startswith((".", "~")) or _has_separator(incomplete):
        return files

    async def collect() -> list[CompletionItem]:
        async with opened(ctx.params.get("store")) as app:
            found = await app.library.scripts(workspace(ctx.params.get("folder")))
            return [
                CompletionItem(script.name, help=script.description)
                for script in found
                if script.name.startswith(incomplete)
            ]

    try:
        names = asyncio.run(collect())
    except (SidestepError, OSError):
        names = []
    return names or files
