"""
Frames out to the real stdout: at once as long as the host reads, through a queue and a thread when it does not.

Owns the outbound queue and what is dropped from it. It must not know JSON: bodies are bytes.

Invariant: frames leave in the order they were offered, whole, whichever threads offered them.
Invariant: whoever offers never waits.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import select
import threading
from collections import deque
from typing import TYPE_CHECKING, TypeVar

from sidestep.rpc.transport import Lane
from sidestep.rpc.unblocked import unblocked
from sidestep_protocol.framing import encode_frame

if TYPE_CHECKING:
    from collections.abc import Callable

    from sidestep.rpc.unblocked import Unblocked

T = TypeVar("T")

log = logging.getLogger("sidestep.rpc")

# Small frames are written together up to this many bytes.
WRITE_BATCH_BYTES = 64 * 1024
# Pushing droppable messages out scans the queue, so it frees at least this fraction of the limit at a time.
PUSH_OUT_FRACTION = 8
# There is room again once the queue holds no more than this fraction of its limit.
ROOM_FRACTION = 4


class Writer:
    """
    Owns the descriptor of the real stdout. What it takes at once is written at once; one queue holds the rest, and one
    thread writes that, blocking.

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
        # The way to write without waiting, once started, for a pipe or socket that is sound.
        self._direct: Unblocked | None = None
        # True while the thread has a batch in its hands: nothing may overtake it.
        self._is_writing = False
        # True within `gather`.
        self._is_gathering = False
        self._lock = threading.RLock()
        # Notified for the thread, under the lock.
        self._wake = threading.Condition(self._lock)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread = threading.Thread(target=self._run, name="sidestep-stdout", daemon=True)
        self._finished = asyncio.Event()
        # Set while somebody waits for room.
        self._room: asyncio.Event | None = None

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        """Begin writing. Messages may be offered before."""
        self._loop = loop
        self._direct = unblocked(self._descriptor, writing=True)
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
        size = len(frame)
        with self._lock:
            if self._is_broken or self._is_closing:
                return True
            if not self._queue and not self._is_gathering and not self._is_writing:
                frame = self._write_at_once(frame)
                if not frame:
                    return True
                # The beginning is out, if anything: the rest must follow.
                lane = Lane.MUST if len(frame) < size else lane
            if not self._make_room(len(frame), lane):
                return False
            self._queue.append((lane, frame))
            self._queued_bytes += len(frame)
            self._droppable_bytes += len(frame) if lane is Lane.DROPPABLE else 0
            if not self._is_gathering:
                self._wake.notify()
        return True

    def gather(self, work: Callable[[T], object], argument: T) -> None:
        """Call `work(argument)`, on the loop's thread; what is offered meanwhile leaves together, after it."""
        self._is_gathering = True
        try:
            work(argument)
        finally:
            with self._lock:
                self._is_gathering = False
                while self._queue and not self._is_writing and self._direct is not None:
                    batch = self._pop_batch()
                    rest = self._write_at_once(batch)
                    if rest:
                        self._queue.appendleft((Lane.MUST, rest))
                        self._queued_bytes += len(rest)
                        break
                if self._queue:
                    self._wake.notify()

    async def room(self) -> None:
        """Wait until most of the queue has been taken: for whoever has much to say and can say it a little later."""
        with self._lock:
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
        with self._lock:
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
            with self._lock:
                self._is_broken = True
                self._queue.clear()
                self._queued_bytes = self._droppable_bytes = 0
        with self._lock:
            self._close_direct()
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
        with self._lock:
            self._is_writing = False
            while not self._queue and not self._is_closing:
                self._wake.wait()
            self._is_writing = bool(self._queue)
            return self._pop_batch()

    def _pop_batch(self) -> bytes:
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
            assert self._loop is not None, "Invariant: what is taken is taken after the start"
            # The loop may have been closed meanwhile; then nobody waits.
            with contextlib.suppress(RuntimeError):
                self._loop.call_soon_threadsafe(room.set)
        return b"".join(frames)

    def _write_at_once(self, data: bytes) -> bytes:
        """Write what the other end takes without anybody waiting; returns the rest."""
        if self._direct is None:
            return data
        try:
            return data[self._direct.write(data) :]
        except BlockingIOError:
            return data
        except OSError:
            # The thread is about to meet the same, and tells.
            self._close_direct()
            return data

    def _close_direct(self) -> None:
        direct, self._direct = self._direct, None
        if direct is not None:
            direct.close()

    def _write(self, batch: bytes) -> None:
        rest = memoryview(batch)
        while rest:
            try:
                rest = rest[os.write(self._descriptor, rest) :]
            except BlockingIOError:
                # Somebody who shares the description made it non-blocking.
                select.select([], [self._descriptor], [])
