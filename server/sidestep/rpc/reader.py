"""
Bytes in from the real stdin, as they come.

Owns the read-ahead. It must not know JSON: chunks are bytes.

Invariant: reading waits only for the event loop to take what was read, never for the writer.

Why two ways: a hand-over from a thread costs more than everything else that happens to a small request (a round trip of
290 us became 210), and only a thread can read whatever stdin may be: `connect_read_pipe` refuses regular files and
hangs on /dev/null, and O_NONBLOCK is not ours to set.
"""

from __future__ import annotations

import logging
import os
import select
import threading
from collections import deque
from functools import partial
from typing import TYPE_CHECKING

from sidestep.rpc.unblocked import unblocked

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from sidestep.rpc.unblocked import Unblocked

log = logging.getLogger("sidestep.rpc")

# One read asks for this much: a pipe on Linux holds no more.
READ_BYTES = 64 * 1024
# Chunks a thread has read and the event loop has not taken; with `READ_BYTES` this bounds the read-ahead to 1 MiB.
READ_AHEAD_CHUNKS = 16


class StdinReader:
    """Reads one descriptor: a pipe or a socket when the loop finds it readable, anything else in a thread."""

    def __init__(self, descriptor: int, *, receive: Callable[[bytes], None], end: Callable[[], None]) -> None:
        """
        Args:
            descriptor: Read, never closed: the thread may sit in `read` for ever.
            receive: Called on the loop with each chunk, 1 byte to 64 KiB.
            end: Called on the loop once, at end of file or when the descriptor cannot be read any more.
        """
        self._descriptor = descriptor
        self._receive = receive
        self._end = end
        self._reader: _LoopReader | ThreadReader | None = None

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        end = unblocked(self._descriptor, writing=False)
        if end is not None:
            self._reader = _LoopReader(end, loop, self._receive, self._end)
        else:
            self._reader = ThreadReader(self._descriptor, receive=self._receive, end=self._end)
            self._reader.start(loop)

    def pause(self) -> None:
        """Hand over nothing until `resume`: what the host writes then waits in the pipe, and the host with it."""
        if self._reader is not None:
            self._reader.pause()

    def resume(self) -> None:
        """Go on where `pause` left off."""
        if self._reader is not None:
            self._reader.resume()

    def stop(self) -> None:
        """Hand over nothing any more."""
        if self._reader is not None:
            self._reader.stop()


class _LoopReader:
    """Reads a pipe or socket that does not wait; one chunk each time it is readable, so that others have their turn."""

    def __init__(
        self,
        end: Unblocked,
        loop: asyncio.AbstractEventLoop,
        receive: Callable[[bytes], object],
        ended: Callable[[], object],
    ) -> None:
        self._end = end
        self._loop = loop
        self._receive = receive
        self._ended = ended
        self._is_stopped = False
        self.resume()

    def pause(self) -> None:
        if not self._is_stopped:
            self._loop.remove_reader(self._end.descriptor)

    def resume(self) -> None:
        if not self._is_stopped:
            self._loop.add_reader(self._end.descriptor, self._read)

    def stop(self) -> None:
        if not self._is_stopped:
            self.pause()
            self._is_stopped = True
            self._end.close()

    def _read(self) -> None:
        try:
            chunk = self._end.read(READ_BYTES)
        except BlockingIOError:
            # Somebody else was quicker.
            return
        except OSError as error:
            log.info("stdin cannot be read any more: %s", error.strerror)
            chunk = b""
        if chunk:
            self._receive(chunk)
        elif not self._is_stopped:
            self.stop()
            self._ended()


class ThreadReader:
    """Reads one descriptor in a daemon thread, whatever it is; its parameters are those of `StdinReader`."""

    def __init__(self, descriptor: int, *, receive: Callable[[bytes], object], end: Callable[[], object]) -> None:
        self._descriptor = descriptor
        self._receive = receive
        self._end = end
        self._room = threading.Semaphore(READ_AHEAD_CHUNKS)
        self._is_stopped = False
        # What was read while paused; as long as it is not taken, its places are not free.
        self._kept: deque[Callable[[], object]] = deque()
        self._is_paused = False

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        threading.Thread(target=self._run, args=(loop,), name="sidestep-stdin", daemon=True).start()

    def stop(self) -> None:
        """Hand over nothing any more. The thread ends at its next byte, or with the process."""
        self._is_stopped = True
        self._room.release()

    def pause(self) -> None:
        self._is_paused = True

    def resume(self) -> None:
        self._is_paused = False
        while self._kept and not self._is_paused:
            self._kept.popleft()()

    def _run(self, loop: asyncio.AbstractEventLoop) -> None:
        try:
            while not self._is_stopped:
                self._room.acquire()
                chunk = self._read()
                if not chunk:
                    loop.call_soon_threadsafe(self._hand_over_end)
                    return
                loop.call_soon_threadsafe(self._hand_over, chunk)
        except RuntimeError:
            # The loop is closed: nobody is left to read for.
            return

    def _read(self) -> bytes:
        while True:
            try:
                return os.read(self._descriptor, READ_BYTES)
            except BlockingIOError:
                # The parent made its end non-blocking, and the two ends share one description.
                select.select([self._descriptor], [], [])
            except OSError as error:
                log.info("stdin cannot be read any more: %s", error.strerror)
                return b""

    def _hand_over(self, chunk: bytes) -> None:
        if self._is_paused:
            self._kept.append(partial(self._hand_over, chunk))
            return
        self._room.release()
        if not self._is_stopped:
            self._receive(chunk)

    def _hand_over_end(self) -> None:
        if self._is_paused:
            self._kept.append(self._hand_over_end)
        elif not self._is_stopped:
            self._is_stopped = True
            self._end()
