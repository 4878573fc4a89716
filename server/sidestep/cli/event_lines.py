"""A run's events as NDJSON on stdout: every one, in order, once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click
import msgspec

from sidestep.lsp import convert

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from sidestep.model.ports import RunStore
    from sidestep_protocol import events as wire

_PAGE = 500


async def stored_events(store: RunStore, run_id: str, after_sequence: int) -> AsyncIterator[wire.Event]:
    """What the journal holds after a sequence, as the protocol says it; read page by page."""
    record = await store.read(run_id)
    while events := await store.read_events(run_id, after_sequence=after_sequence, limit=_PAGE):
        for event in events:
            yield convert.event(event, record)
        assert events[-1].sequence > after_sequence, "a page follows what it was asked to follow"
        after_sequence = events[-1].sequence


class EventLines:
    """
    Prints what follows a sequence.

    Invariant: lines are gap-free. An event that would leave a gap is left to `catch_up`, and so are all after it.
    """

    def __init__(self, after_sequence: int = 0) -> None:
        self._printed = after_sequence
        self._encoder = msgspec.json.Encoder()

    def take(self, event: wire.Event) -> None:
        """Print a live event if it is the next one."""
        if event.sequence == self._printed + 1:
            click.echo(self._encoder.encode(event))
            self._printed = event.sequence

    async def catch_up(self, store: RunStore, run_id: str) -> None:
        """Print what the journal holds and was not printed."""
        async for event in stored_events(store, run_id, self._printed):
            self.take(event)
