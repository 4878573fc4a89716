"""
The log's warnings and errors, told to the host as `window/logMessage`.

Owns which records a host sees and how many. A host that shows them (an output panel) saves its person the search for
the log; everything else stays in the log, tracebacks included.

Invariant: nothing is told before the host's `initialized`; a few records from before are kept for then.
Invariant: telling never waits, and what is logged while telling is not told: the log cannot feed on itself.
"""

from __future__ import annotations

import contextlib
import logging
import threading
from collections import deque
from typing import TYPE_CHECKING

from sidestep.rpc.transport import Lane

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

# A longer text keeps its beginning.
TEXT_CHARS_MAX = 2000
# At most so many messages in so many seconds; what is left out is counted in the next message.
MESSAGES_MAX = 20
PERIOD_S = 10.0
# The same text is told again after this time: what is waited for is tried often.
REPEAT_S = 30.0
# Texts remembered for that.
TEXTS_MAX = 200

_ERROR, _WARNING = 1, 2


class HostLog(logging.Handler):
    """A handler for the root logger. Records may come from any thread; messages leave on the loop's."""

    def __init__(
        self,
        send: Callable[[str, object, Lane], bool],
        *,
        loop: asyncio.AbstractEventLoop,
        monotonic: Callable[[], float],
    ) -> None:
        """
        Args:
            send: Queues one notification.
            monotonic: Seconds.
        """
        super().__init__(logging.WARNING)
        self._send = send
        self._loop = loop
        self._monotonic = monotonic
        self._is_open = False
        self._early: deque[tuple[int, str]] = deque(maxlen=MESSAGES_MAX)
        self._told_s: deque[float] = deque(maxlen=MESSAGES_MAX)
        self._said_s: dict[str, float] = {}
        self._left_out = 0
        # The thread that is telling, while it is.
        self._teller: int | None = None

    def open(self) -> None:
        """The host may be told now."""
        self._is_open = True
        while self._early:
            self._tell(*self._early.popleft())

    def emit(self, record: logging.LogRecord) -> None:
        if self._teller == threading.get_ident():
            return
        text = _text_of(record)
        if not self._is_worth_telling(text):
            return
        if self._left_out:
            text += f" ({self._left_out} more before it are in the server's log)"
            self._left_out = 0
        kind = _ERROR if record.levelno >= logging.ERROR else _WARNING
        # The loop may have ended; then there is no host either.
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._take, kind, text)

    def _is_worth_telling(self, text: str) -> bool:
        """Called under the handler's lock."""
        now_s = self._monotonic()
        if now_s - self._said_s.get(text, -REPEAT_S) < REPEAT_S:
            return False
        if len(self._told_s) == MESSAGES_MAX and now_s - self._told_s[0] < PERIOD_S:
            self._left_out += 1
            return False
        if len(self._said_s) >= TEXTS_MAX:
            self._said_s.clear()
        self._said_s[text] = now_s
        self._told_s.append(now_s)
        return True

    def _take(self, kind: int, text: str) -> None:
        if self._is_open:
            self._tell(kind, text)
        else:
            self._early.append((kind, text))

    def _tell(self, kind: int, text: str) -> None:
        self._teller = threading.get_ident()
        try:
            self._send("window/logMessage", {"type": kind, "message": text}, Lane.DROPPABLE)
        finally:
            self._teller = None


def _text_of(record: logging.LogRecord) -> str:
    try:
        text = f"{record.name}: {record.getMessage()}"
    except (TypeError, ValueError, KeyError):
        text = f"{record.name}: {record.msg}"
    if record.exc_info and record.exc_info[0] is not None:
        # A traceback has paths and values in it: the log keeps it.
        text += f" ({record.exc_info[0].__name__}; the server's log has more)"
    return text if len(text) <= TEXT_CHARS_MAX else f"{text[:TEXT_CHARS_MAX]} ..."
