"""
`workflow/output`: what steps print, gathered for a moment and sent as text while the host keeps up.

Ephemeral by contract: dropped first when the host is slow, and counted. Knows bytes and UTF-8; which runs are watched,
and when that ends, is the notifier's knowledge.

Invariant: at most `_PENDING_BYTES_MAX` bytes wait for each stream, whatever a step prints.
Invariant: nothing is kept of a run whose output has ended.
"""

from __future__ import annotations

import codecs
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from sidestep.rpc.transport import Lane
from sidestep_protocol import notifications

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from sidestep.lsp.notifier import Send

_PENDING_BYTES_MAX = 64 * 1024

_utf8 = codecs.getincrementaldecoder("utf-8")


@dataclass
class _Pending:
    """One stream of one step: bytes not sent yet, and how many had to be dropped since the last that were."""

    data: bytearray = field(default_factory=bytearray)
    decoder: codecs.IncrementalDecoder = field(default_factory=lambda: _utf8("replace"))
    dropped_bytes: int = 0


class LiveOutput:
    """The output of the runs one connection watches."""

    def __init__(
        self, send: Send, *, wants: Callable[[str], bool], batch_s: float, loop: asyncio.AbstractEventLoop
    ) -> None:
        """
        Args:
            wants: Whether the host is to be told a run's output.
            batch_s: What is printed within this time goes out together.
        """
        self._send = send
        self._wants = wants
        self._batch_s = batch_s
        self._loop = loop
        # (run id, step id, stream) -> what waits.
        self._pending: dict[tuple[str, str, str], _Pending] = {}
        self._timer: asyncio.TimerHandle | None = None

    def told(self, run_id: str, step_id: str, stream: str, data: bytes) -> None:
        """The listener: a step's work printed something."""
        if not self._wants(run_id):
            return
        pending = self._pending.setdefault((run_id, step_id, stream), _Pending())
        pending.data += data
        excess = len(pending.data) - _PENDING_BYTES_MAX
        if excess > 0:
            # The newest is what a person wants to see; the journal keeps the end of it, too.
            del pending.data[:excess]
            pending.dropped_bytes += excess
            pending.decoder.reset()
        if self._timer is None:
            self._timer = self._loop.call_later(self._batch_s, self._flush)

    def end(self, run_id: str) -> None:
        """Send what is left of a run, if the host still wants it, and remember nothing of it."""
        for key in [key for key in self._pending if key[0] == run_id]:
            pending = self._pending.pop(key)
            if self._wants(run_id):
                self._send_pending(key, pending, is_last=True)
        if not self._pending:
            self._cancel_timer()

    def close(self) -> None:
        self._pending.clear()
        self._cancel_timer()

    def _cancel_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _flush(self) -> None:
        self._timer = None
        for key, pending in list(self._pending.items()):
            self._send_pending(key, pending, is_last=False)
            if not pending.dropped_bytes and not pending.decoder.getstate()[0]:
                # Nothing to remember: no half character, no loss to tell.
                del self._pending[key]

    def _send_pending(self, key: tuple[str, str, str], pending: _Pending, *, is_last: bool) -> None:
        run_id, step_id, stream = key
        size = len(pending.data)
        text = pending.decoder.decode(bytes(pending.data), final=is_last)
        pending.data.clear()
        # A loss is told with the next text, or by itself when there is none to come.
        if text or (is_last and pending.dropped_bytes):
            told = notifications.OutputNotification(
                run_id=run_id, step_id=step_id, stream=stream, text=text, dropped_bytes=pending.dropped_bytes
            )
            sent = self._send("workflow/output", told, Lane.DROPPABLE)
            pending.dropped_bytes = 0 if sent else pending.dropped_bytes + size
