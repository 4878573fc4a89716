"""Which run a person means: a whole id, the beginning of one, or `last`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click
from click.shell_completion import CompletionItem

from sidestep.model.errors import InvalidTransition, RunNotFound, SidestepError
from sidestep.model.ports import RunFilter

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from sidestep.model.ports import RunStore
    from sidestep.model.run import RunRecord
    from sidestep.service.workflows import WorkflowService

LAST = "last"
# How the newest run of a folder is called where there is none.
LAST_OF = "last of "
_PREFIX = "run_"
_PAGE = 100
# How far back the beginning of an id is looked for.
_LOOKED_AT_MAX = 10_000


async def find_run(store: RunStore, words: str, folder: str) -> RunRecord:
    """
    The run that `words` mean.

    Args:
        words: An id, a beginning that only one of the newest runs has (`run_` may be left out), or `last`: the newest
            run of the folder.
        folder: The key of the folder the person is in.

    Raises:
        RunNotFound: there is none.
        click.UsageError: there are several; lists them.
    """
    if words == LAST:
        page = await store.list_runs(RunFilter(folder=folder), cursor=None, limit=1)
        if not page.items:
            raise RunNotFound(run_id=f"{LAST_OF}{folder}")
        return page.items[0]
    try:
        return await store.read(words)
    except RunNotFound:
        beginning = words if words.startswith(_PREFIX) else _PREFIX + words
    found = [record async for record in newest(store, RunFilter()) if record.run_id.startswith(beginning)]
    if len(found) > 1:
        listed = "\n".join(f"  {record.run_id}  {record.name}" for record in found[:10])
        raise click.UsageError(f"{words!r} is the beginning of {len(found)} runs:\n{listed}")
    if not found:
        raise RunNotFound(run_id=words)
    return found[0]


async def find_root_run(store: RunStore, words: str, folder: str) -> RunRecord:
    """
    As `find_run`, for what is asked of a whole tree.

    Raises:
        InvalidTransition: it is a nested run; names its root.
    """
    record = await find_run(store, words, folder)
    if not record.is_root:
        why, root = "it is a nested run; ask its root", record.root_run_id
        raise InvalidTransition(run_id=record.run_id, status=record.status.value, why=why, root_run_id=root)
    return record


async def newest(store: RunStore, run_filter: RunFilter, limit: int = _LOOKED_AT_MAX) -> AsyncIterator[RunRecord]:
    """Runs, newest first, at most `limit`."""
    cursor: str | None = None
    while limit > 0:
        page = await store.list_runs(run_filter, cursor=cursor, limit=min(_PAGE, limit))
        for record in page.items:
            yield record
        limit -= len(page.items)
        cursor = page.next_cursor
        if cursor is None:
            return


def complete_run_id(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """The newest runs whose id begins so, for the shell."""
    from sidestep.cli.opening import with_service

    last = [CompletionItem(LAST, help="the newest run of this folder")] if LAST.startswith(incomplete) else []

    async def collect(service: WorkflowService) -> list[CompletionItem]:
        return [
            CompletionItem(record.run_id, help=f"{record.name} ({record.status.value})")
            async for record in newest(service.store, RunFilter(), limit=_PAGE)
            if record.run_id.startswith(incomplete)
        ]

    try:
        return last + with_service(ctx.params.get("store"), collect)
    except SidestepError:
        # A shell in the middle of a line is no place to complain.
        return last
