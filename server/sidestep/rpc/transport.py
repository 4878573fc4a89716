"""
Bytes in from fd 0, frames out to fd 1, each with a thread of its own, so that neither ever waits for the other.

Owns the two descriptors, the read-ahead and the outbound queue. It must not know JSON: bodies are bytes.

Invariant: nothing but frames reaches the real stdout. Its only descriptor is the `Writer`'s; fd 1 points at stderr.
Invariant: frames leave in the order they were offered, whole, whichever threads offered them.
Invariant: reading waits only for the event loop to take what was read, never for the writer.

Why threads: `connect_read_pipe` refuses regular files and hangs on /dev/null, and O_NONBLOCK belongs to the open file
description, so making fd 1 non-blocking would make it non-blocking for the parent and every sibling that shares it.
"""

from __future__ import annotations

import asyncio
import contextlib
import enum
import logging
import os
import select
import sys
import threading
from collections import deque
from typing import TYPE_CHECKING, Protocol

from sidestep_protocol.framing import encode_frame

if TYPE_CHECKING:
    from collections.abc import Callable

log = logging.getLogger("sidestep.rpc")

# One `os.read` asks for this much: a pipe on Linux holds no more.
READ_BYTES = 64 * 1024
# Chunks read and not yet taken by the event loop; with `READ_BYTES` this bounds the read-ahead to 1 MiB.
READ_AHEAD_CHUNKS = 16
# Small frames are written together up to this many bytes.
WRITE_BATCH_BYTES = 64 * 1024
# Pushing droppable messages out scans the queue, so it frees at least this fraction of the limit at a time.
PUSH_OUT_FRACTION = 8
# There is room again once the queue holds no more than this fraction of its limit.
ROOM_FRACTION = 4


class Lane(enum.Enum):
    """What becomes of a message when the host does not read. Lanes share one queue: order holds across them."""

    MUST = "must"  # Responses, requests, statusChanged: never dropped.
    LAGGABLE = "laggable"  # A subscription's events: refused, and the subscription then lags.
    DROPPABLE = "droppable"  # Output: refused or taken out of the queue, and counted.


class Outbound(Protocol):
    """Where a session puts its messages."""

    @property
    def is_congested(self) -> bool:
        """True while the queue holds more than its limit."""
        ...

    def offer(self, body: bytes, lane: Lane) -> bool:
        """
        Queue one message. Never blocks, never raises, may be called from any thread.

        Returns:
            False when the message was refused because the queue is full (never for `Lane.MUST`).
        """
        ...


def take_stdin() -> int:
    """
    Move the real stdin to a private descriptor and leave the null device on fd 0.

    So no child that inherits fd 0 can swallow the host's frames.

    Raises:
        OSError: fd 0 is closed.
    """
    private = os.dup(0)
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)
    return private


def take_stdout() -> int:
    """
    Move the real stdout to a private descriptor that no child inherits, and point fd 1 at stderr.

    `print`, a C library's `write(1, ...)` and children that inherit fd 1 then write to stderr.

    Raises:
        OSError: fd 1 is closed.
    """
    private = os.dup(1)
    try:
        os.dup2(2, 1)
    except OSError:
        # There is no stderr: what strays goes nowhere.
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, 1)
        os.close(null)
    if sys.stdout is not None:  # pyright: ignore[reportUnnecessaryComparison] -- None without a console
        # What was printed before now strays, too.
        sys.stdout.flush()
    return private


class StdinReader:
    """Reads one descriptor in a daemon thread; works with pipes, sockets, regular files and /dev/null."""

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
        self._room = threading.Semaphore(READ_AHEAD_CHUNKS)
        self._is_stopped = False

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        threading.Thread(target=self._run, args=(loop,), name="sidestep-stdin", daemon=True).start()

    def stop(self) -> None:
        """Hand over nothing any more. The thread ends at its next byte, or with the process."""
        self._is_stopped = True
        self._room.release()

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
        self._room.release()
        if not self._is_stopped:
            self._receive(chunk)

    def _hand_over_end(self) -> None:
        if not self._is_stopped:
            self._is_stopped = True
            self._end()


class Writer:
    """
    Owns the descriptor of the real stdout. One thread writes, blocking; one queue holds what it has not taken yet.

    The queue is limited in bytes, beyond the batch being written. Over the limit a droppable message is refused; any
    other first pushes queued droppable ones out, oldest first; then a laggable one is refused and a must is queued all
    the same: the session bounds those by admitting no more requests while `is_congested`.
    """

    def __init__(self, descriptor: int, *, queue_bytes_max: int, on_broken: Callable[[OSError], None]) -> None:
        """
        Args:
            descriptor: Becomes the writer's; closed by `aclose` once everything is written.
            queue_bytes_max: Limit of the queue, in bytes of frames.
            on_broken: Called on the loop, once, when the other end is gone.
        """
        self._descriptor = descriptor
        self._queue_bytes_max = queue_bytes_max
        self._on_broken = on_broken
        self._queue: deque[tuple[Lane, bytes]] = deque()
        self._queued_bytes = 0
        self._droppable_bytes = 0
        self._dropped_bytes = 0
        self._is_closing = False
        self._is_broken = False
        self._wake = threading.Condition()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread = threading.Thread(target=self._run, name="sidestep-stdout", daemon=True)
        self._finished = asyncio.Event()
        # Set while somebody waits for room.
        self._room: asyncio.Event | None = None

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        """Begin writing. Messages may be offered before."""
        self._loop = loop
        self._thread.start()

    @property
    def queued_bytes(self) -> int:
        """Bytes offered and not yet taken by the thread."""
        return self._queued_bytes

    @property
    def dropped_bytes(self) -> int:
        """Bytes of droppable messages that were refused or pushed out, since the start."""
        return self._dropped_bytes

    @property
    def is_broken(self) -> bool:
        return self._is_broken

    @property
    def is_congested(self) -> bool:
        return self._queued_bytes > self._queue_bytes_max

    def offer(self, body: bytes, lane: Lane) -> bool:
        """See `Outbound.offer`. After the end, or after a broken pipe, messages are taken and go nowhere."""
        frame = encode_frame(body)
        with self._wake:
            if self._is_broken or self._is_closing:
                return True
            if not self._make_room(len(frame), lane):
                return False
            self._queue.append((lane, frame))
            self._queued_bytes += len(frame)
            self._droppable_bytes += len(frame) if lane is Lane.DROPPABLE else 0
            self._wake.notify()
        return True

    async def room(self) -> None:
        """Wait until most of the queue has been taken: for whoever has much to say and can say it a little later."""
        with self._wake:
            if self._has_room():
                return
            if self._room is None:
                self._room = asyncio.Event()
            room = self._room
        await room.wait()

    def _has_room(self) -> bool:
        taken = self._queued_bytes <= self._queue_bytes_max // ROOM_FRACTION
        return taken or self._is_broken or self._is_closing

    async def aclose(self, within_s: float) -> bool:
        """
        Write what is queued, then close the descriptor.

        Args:
            within_s: How long the host may take to read the rest, in seconds.

        Returns:
            False when it did not; the thread then stays in `write` until the process ends, and so does the descriptor.
        """
        with self._wake:
            self._is_closing = True
            self._wake.notify()
        if not self._thread.is_alive():
            return not self._queue and not self._is_broken
        try:
            async with asyncio.timeout(within_s):
                await self._finished.wait()
        except TimeoutError:
            log.warning("the host left %d bytes unread", self._queued_bytes)
            return False
        return not self._is_broken

    def _make_room(self, frame_bytes: int, lane: Lane) -> bool:
        if self._queued_bytes + frame_bytes <= self._queue_bytes_max:
            return True
        if lane is Lane.DROPPABLE:
            self._dropped_bytes += frame_bytes
            return False
        if self._droppable_bytes:
            missing_bytes = self._queued_bytes + frame_bytes - self._queue_bytes_max
            self._push_out_droppable(max(missing_bytes, self._queue_bytes_max // PUSH_OUT_FRACTION))
        return lane is Lane.MUST or self._queued_bytes + frame_bytes <= self._queue_bytes_max

    def _push_out_droppable(self, wanted_bytes: int) -> None:
        kept: deque[tuple[Lane, bytes]] = deque()
        freed = 0
        for lane, frame in self._queue:
            if lane is Lane.DROPPABLE and freed < wanted_bytes:
                freed += len(frame)
            else:
                kept.append((lane, frame))
        self._queue = kept
        self._queued_bytes -= freed
        self._droppable_bytes -= freed
        self._dropped_bytes += freed

    def _run(self) -> None:
        failure: OSError | None = None
        try:
            while batch := self._take_batch():
                self._write(batch)
        except OSError as error:
            failure = error
            with self._wake:
                self._is_broken = True
                self._queue.clear()
                self._queued_bytes = self._droppable_bytes = 0
        os.close(self._descriptor)
        assert self._loop is not None, "Invariant: the thread starts with its loop"
        try:
            self._loop.call_soon_threadsafe(self._report, failure)
        except RuntimeError:
            # The loop is closed: nobody is left to tell.
            return

    def _report(self, failure: OSError | None) -> None:
        self._finished.set()
        if self._room is not None:
            self._room.set()
        if failure is not None:
            self._on_broken(failure)

    def _take_batch(self) -> bytes:
        """Wait for messages; empty when the writer is closing and nothing is left."""
        with self._wake:
            while not self._queue and not self._is_closing:
                self._wake.wait()
            frames: list[bytes] = []
            taken = 0
            while self._queue and (not frames or taken + len(self._queue[0][1]) <= WRITE_BATCH_BYTES):
                lane, frame = self._queue.popleft()
                frames.append(frame)
                taken += len(frame)
                self._droppable_bytes -= len(frame) if lane is Lane.DROPPABLE else 0
            self._queued_bytes -= taken
            if self._room is not None and self._has_room():
                room, self._room = self._room, None
                assert self._loop is not None, "Invariant: the thread starts with its loop"
                # The loop may have been closed meanwhile; then nobody waits.
                with contextlib.suppress(RuntimeError):
                    self._loop.call_soon_threadsafe(room.set)
        return b"".join(frames)

    def _write(self, batch: bytes) -> None:
        rest = memoryview(batch)
        while rest:
            try:
                rest = rest[os.write(self._descriptor, rest) :]
            except BlockingIOError:
                # Somebody who shares the description made it non-blocking.
                select.select([], [self._descriptor], [])
