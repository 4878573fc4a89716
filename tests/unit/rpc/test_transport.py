"""W18, W21, W22, W23: the two threads around stdin and stdout, on real descriptors."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
import threading
from typing import TYPE_CHECKING, Any

import pytest

from sidestep.rpc.reader import READ_AHEAD_CHUNKS, READ_BYTES, StdinReader, ThreadReader
from sidestep.rpc.transport import Lane
from sidestep.rpc.writer import Writer
from sidestep_protocol.framing import Frame, FrameReader, encode_frame
from tests.support.raw_client import ExpectationFailed, RawClient, Verdict, notification, response_to

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

PATIENCE_S = 10
ECHO_SERVER = [sys.executable, "-m", "tests.unit.rpc.echo_server"]


class Outgoing:
    """A writer on a pipe, and what arrives at the pipe's other end."""

    def __init__(self, queue_bytes_max: int = 1 << 20) -> None:
        self.read_end, write_end = os.pipe()
        self.broken: list[OSError] = []
        self.writer = Writer(write_end, queue_bytes_max=queue_bytes_max, on_broken=self.broken.append)

    def read_all(self) -> list[bytes]:
        """Every body until the writer closes its end; anything that is no frame fails."""
        frames = FrameReader()
        bodies: list[bytes] = []
        while chunk := os.read(self.read_end, READ_BYTES):
            for item in frames.feed(chunk):
                assert isinstance(item, Frame), item
                bodies.append(item.body)
        assert frames.is_between_frames
        os.close(self.read_end)
        return bodies

    async def flush(self) -> list[bytes]:
        reading = asyncio.get_running_loop().run_in_executor(None, self.read_all)
        assert await self.writer.aclose(PATIENCE_S)
        return await reading


async def test_frames_leave_whole_and_in_the_order_of_their_offers() -> None:
    out = Outgoing(queue_bytes_max=1 << 30)
    bodies = [b"%d" % n * (n % 3000 + 1) for n in range(500)]
    for body in bodies[:10]:
        out.writer.offer(body, Lane.MUST)
    out.writer.start(asyncio.get_running_loop())
    for body in bodies[10:]:
        out.writer.offer(body, Lane.MUST)
    assert await out.flush() == bodies


async def test_frames_offered_from_many_threads_never_interleave() -> None:
    out = Outgoing(queue_bytes_max=1 << 30)
    out.writer.start(asyncio.get_running_loop())

    def offer(name: int) -> None:
        for n in range(200):
            out.writer.offer(b"%d %d " % (name, n) + b"x" * (n * 7), Lane.MUST)

    threads = [threading.Thread(target=offer, args=(name,)) for name in range(4)]
    reading = asyncio.get_running_loop().run_in_executor(None, out.read_all)
    for thread in threads:
        thread.start()
    for thread in threads:
        await asyncio.to_thread(thread.join)
    assert await out.writer.aclose(PATIENCE_S)
    heads = [tuple(map(int, body.split()[:2])) for body in await reading]
    for name in range(4):
        assert [n for who, n in heads if who == name] == list(range(200))


def offer_all(writer: Writer, lane: Lane, *sizes: int) -> list[bool]:
    return [writer.offer(lane.value.encode().ljust(size, b"."), lane) for size in sizes]


async def test_w21_over_the_limit_output_goes_first_then_subscriptions_lag_and_the_rest_stays() -> None:
    """The thread is not started, so everything stays in the queue: a host that does not read."""
    out = Outgoing(queue_bytes_max=10_000)
    writer = out.writer
    frame = len(encode_frame(b"." * 1000))
    assert offer_all(writer, Lane.DROPPABLE, *[1000] * 9) == [True] * 9
    # Full: new output is refused and counted.
    assert offer_all(writer, Lane.DROPPABLE, 1000) == [False]
    assert writer.dropped_bytes == frame
    # Others push output out, oldest first, and find room.
    assert offer_all(writer, Lane.LAGGABLE, *[1000] * 5) == [True] * 5
    assert offer_all(writer, Lane.MUST, *[1000] * 4) == [True] * 4
    assert writer.dropped_bytes == 10 * frame
    assert writer.queued_bytes == 9 * frame
    assert not writer.is_congested
    # Nothing left to push out: a subscription lags, a response is queued all the same.
    assert offer_all(writer, Lane.LAGGABLE, 1000) == [False]
    assert offer_all(writer, Lane.MUST, 1000, 1000) == [True, True]
    assert writer.is_congested
    assert offer_all(writer, Lane.DROPPABLE, 1) == [False]
    writer.start(asyncio.get_running_loop())
    kept = [body.rstrip(b".").decode() for body in await out.flush()]
    assert kept == ["laggable"] * 5 + ["must"] * 6
    assert writer.queued_bytes == 0


async def test_output_that_is_pushed_out_leaves_the_order_of_the_rest() -> None:
    out = Outgoing(queue_bytes_max=5_000)
    for n in range(4):
        out.writer.offer(b"output %d" % n + b"." * 1000, Lane.DROPPABLE)
        out.writer.offer(b"response %d" % n, Lane.MUST)
    out.writer.offer(b"last" + b"." * 2500, Lane.MUST)
    out.writer.start(asyncio.get_running_loop())
    left = [body.rstrip(b".").decode() for body in await out.flush()]
    assert left == ["response 0", "response 1", "output 2", "response 2", "output 3", "response 3", "last"]


async def test_the_limit_is_beyond_the_message_being_written() -> None:
    out = Outgoing(queue_bytes_max=1000)
    out.writer.start(asyncio.get_running_loop())
    # Larger than the pipe and the limit: the thread sits in `write` with it, as soon as it has taken it.
    out.writer.offer(b"x" * 1_000_000, Lane.MUST)
    await out.writer.room()
    assert out.writer.queued_bytes == 0
    assert out.writer.offer(b"y" * 900, Lane.DROPPABLE)
    assert not out.writer.offer(b"z" * 900, Lane.DROPPABLE)
    assert [body[:1] for body in await out.flush()] == [b"x", b"y"]


async def test_w21_a_host_that_never_reads_holds_up_the_flush_only_so_long() -> None:
    out = Outgoing()
    out.writer.start(asyncio.get_running_loop())
    out.writer.offer(b"x" * 1_000_000, Lane.MUST)
    assert not await out.writer.aclose(0.01)
    os.close(out.read_end)


async def test_w22_a_broken_pipe_is_reported_once_and_offers_go_nowhere() -> None:
    out = Outgoing()
    broken = asyncio.get_running_loop().create_future()
    out.writer._on_broken = broken.set_result  # pyright: ignore[reportPrivateUsage]
    os.close(out.read_end)
    out.writer.start(asyncio.get_running_loop())
    out.writer.offer(b"x", Lane.MUST)
    async with asyncio.timeout(PATIENCE_S):
        assert isinstance(await broken, BrokenPipeError)
    assert out.writer.is_broken
    assert out.writer.offer(b"y", Lane.MUST)
    assert out.writer.queued_bytes == 0
    assert not await out.writer.aclose(PATIENCE_S)


async def test_a_descriptor_somebody_made_non_blocking_is_written_all_the_same() -> None:
    out = Outgoing()
    os.set_blocking(out.writer._descriptor, False)  # pyright: ignore[reportPrivateUsage]
    out.writer.start(asyncio.get_running_loop())
    out.writer.offer(b"x" * 1_000_000, Lane.MUST)
    assert await out.flush() == [b"x" * 1_000_000]


async def test_closing_a_writer_that_never_started_does_not_wait() -> None:
    out = Outgoing()
    out.writer.offer(b"x", Lane.MUST)
    assert not await out.writer.aclose(PATIENCE_S)


async def test_what_the_host_takes_is_written_at_once_and_no_flag_of_its_pipe_changes() -> None:
    """W21: O_NONBLOCK would be set for everybody who shares the description."""
    for read_end, write_end in (os.pipe(), _socket_pair()):
        writer = Writer(write_end, queue_bytes_max=1 << 20, on_broken=lambda _: None)
        writer.start(asyncio.get_running_loop())
        writer.offer(b"{}", Lane.MUST)
        # No thread is waited for.
        os.set_blocking(read_end, False)
        assert os.read(read_end, 100) == encode_frame(b"{}")
        assert os.get_blocking(write_end)
        assert await writer.aclose(PATIENCE_S)
        assert os.read(read_end, 100) == b""
        os.close(read_end)


async def test_what_the_host_does_not_take_follows_in_order() -> None:
    """W21: a frame that fits in part keeps its place."""
    out = Outgoing(queue_bytes_max=1 << 30)
    out.writer.start(asyncio.get_running_loop())
    bodies = [b"%d " % n + b"x" * 50_000 for n in range(20)]
    for body in bodies:
        out.writer.offer(body, Lane.DROPPABLE)
    assert out.writer.queued_bytes > 0
    assert await out.flush() == bodies


async def test_what_is_offered_while_a_chunk_is_read_leaves_together() -> None:
    out = Outgoing()
    out.writer.start(asyncio.get_running_loop())
    os.set_blocking(out.read_end, False)

    def answer_three(_: bytes) -> None:
        for n in range(3):
            out.writer.offer(b"%d" % n, Lane.MUST)
            with pytest.raises(BlockingIOError):
                os.read(out.read_end, 1)

    out.writer.gather(answer_three, b"")
    assert os.read(out.read_end, 1000) == b"".join(encode_frame(b"%d" % n) for n in range(3))
    out.writer.offer(b"after", Lane.MUST)
    assert os.read(out.read_end, 1000) == encode_frame(b"after")
    assert await out.writer.aclose(PATIENCE_S)
    os.close(out.read_end)


@pytest.mark.parametrize("size", [10, 200_000])
async def test_w22_a_host_that_is_gone_is_told_once(size: int) -> None:
    told: list[OSError] = []
    is_told = asyncio.Event()
    read_end, write_end = os.pipe()
    writer = Writer(write_end, queue_bytes_max=1 << 20, on_broken=lambda error: (told.append(error), is_told.set()))
    writer.start(asyncio.get_running_loop())
    os.close(read_end)
    for _ in range(3):
        assert writer.offer(b"x" * size, Lane.MUST)
    async with asyncio.timeout(PATIENCE_S):
        await is_told.wait()
    assert [type(error) for error in told] == [BrokenPipeError]
    assert writer.is_broken


def _socket_pair() -> tuple[int, int]:
    """As Node gives to its children."""
    ours, theirs = socket.socketpair()
    return ours.detach(), theirs.detach()


# -- Reading


async def read_to_end(descriptor: int) -> bytes:
    chunks: list[bytes] = []
    ended = asyncio.Event()
    StdinReader(descriptor, receive=chunks.append, end=ended.set).start(asyncio.get_running_loop())
    async with asyncio.timeout(PATIENCE_S):
        await ended.wait()
    return b"".join(chunks)


async def test_w18_every_kind_of_stdin_is_read_to_its_end(tmp_path: Path) -> None:
    data = os.urandom(300_000)
    path = tmp_path / "input"
    path.write_bytes(data)
    with path.open("rb") as file:
        assert await read_to_end(file.fileno()) == data
    with open(os.devnull, "rb") as null:  # noqa: ASYNC230 -- opening it does not block
        assert await read_to_end(null.fileno()) == b""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        sending = asyncio.get_running_loop().run_in_executor(None, lambda: (theirs.sendall(data), theirs.close()))
        assert await read_to_end(ours.fileno()) == data
        await sending


async def test_a_pipe_and_a_socket_are_read_by_the_loop_and_no_flag_of_theirs_changes() -> None:
    """A hand-over from a thread costs more than the rest of a small request."""
    for read_end, write_end in (os.pipe(), _socket_pair()):
        chunks: list[bytes] = []
        ended = asyncio.Event()
        reader = StdinReader(read_end, receive=chunks.append, end=ended.set)
        reader.start(asyncio.get_running_loop())
        assert all(thread.name != "sidestep-stdin" for thread in threading.enumerate())
        os.write(write_end, b"said")
        assert os.get_blocking(read_end)
        os.close(write_end)
        async with asyncio.timeout(PATIENCE_S):
            await ended.wait()
        assert b"".join(chunks) == b"said"
        reader.stop()
        os.close(read_end)


async def test_a_loop_reader_that_was_stopped_hands_nothing_over() -> None:
    read_end, write_end = os.pipe()
    chunks: list[bytes] = []
    reader = StdinReader(read_end, receive=chunks.append, end=lambda: chunks.append(b"end"))
    reader.start(asyncio.get_running_loop())
    os.write(write_end, b"late")
    reader.stop()
    os.close(write_end)
    for _ in range(3):
        await asyncio.to_thread(int)
    assert chunks == []
    os.close(read_end)


@pytest.mark.parametrize("kind", ["pipe", "file"])
async def test_what_comes_while_a_reader_is_paused_comes_after_it(tmp_path: Path, kind: str) -> None:
    """A pipe is read by the loop, a file by a thread."""
    data = os.urandom(3 * READ_BYTES)
    if kind == "pipe":
        read_end, write_end = os.pipe()
        sending = asyncio.create_task(asyncio.to_thread(_send_all, write_end, data))
    else:
        (tmp_path / "input").write_bytes(data)
        read_end, sending = os.open(tmp_path / "input", os.O_RDONLY), None
    chunks: list[bytes] = []
    ended = asyncio.Event()
    is_resumed = False

    def receive(chunk: bytes) -> None:
        nonlocal is_resumed
        assert is_resumed or not chunks, "nothing comes while it is paused"
        chunks.append(chunk)
        if not is_resumed:
            reader.pause()
            # Paused twice is paused once.
            reader.pause()

    reader = StdinReader(read_end, receive=receive, end=ended.set)
    reader.start(asyncio.get_running_loop())
    while not chunks:
        await asyncio.to_thread(int)
    for _ in range(5):
        await asyncio.to_thread(int)
    assert len(chunks) == 1
    assert not ended.is_set()
    is_resumed = True
    reader.resume()
    async with asyncio.timeout(PATIENCE_S):
        await ended.wait()
        if sending is not None:
            await sending
    assert b"".join(chunks) == data
    reader.stop()
    # What is stopped is neither paused nor resumed.
    reader.pause()
    reader.resume()
    os.close(read_end)


async def test_a_stdin_that_cannot_be_read_has_ended() -> None:
    read_end, write_end = os.pipe()
    os.close(read_end)
    os.close(write_end)
    assert await read_to_end(read_end) == b""


async def test_a_non_blocking_stdin_is_waited_for() -> None:
    read_end, write_end = os.pipe()
    os.set_blocking(read_end, False)
    reading = asyncio.create_task(read_to_end(read_end))
    # Bytes arrive after the thread has found nothing to read, or before: both must do.
    await asyncio.to_thread(os.write, write_end, b"late")
    os.close(write_end)
    assert await reading == b"late"
    os.close(read_end)


def _send_all(descriptor: int, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(descriptor, rest) :]
    os.close(descriptor)


class StuckLoop:
    """An event loop that takes nothing until it is told to."""

    def __init__(self) -> None:
        self.waiting: list[Callable[[], object]] = []
        self.handed_over = threading.Semaphore(0)

    def call_soon_threadsafe(self, callback: Any, *arguments: Any) -> None:
        self.waiting.append(lambda: callback(*arguments))
        self.handed_over.release()


def test_the_read_ahead_is_bounded_and_goes_on_when_the_loop_does() -> None:
    ours, theirs = socket.socketpair()
    loop = StuckLoop()
    received: list[bytes] = []
    ended: list[bool] = []
    ThreadReader(ours.fileno(), receive=received.append, end=lambda: ended.append(True)).start(loop)  # type: ignore[arg-type]
    data = os.urandom(4 << 20)
    sender = threading.Thread(target=lambda: (theirs.sendall(data), theirs.close()))
    sender.start()
    for _ in range(READ_AHEAD_CHUNKS):
        assert loop.handed_over.acquire(timeout=PATIENCE_S)
    # What is not handed over stays with the sender, however long it waits.
    sender.join(0.1)
    assert sum(map(len, received)) == 0
    assert len(loop.waiting) == READ_AHEAD_CHUNKS
    assert sender.is_alive()
    while not ended:
        waiting, loop.waiting = loop.waiting, []
        for callback in waiting:
            callback()
        if not ended and not loop.waiting:
            assert loop.handed_over.acquire(timeout=PATIENCE_S)
    assert b"".join(received) == data
    sender.join()
    ours.close()


async def test_a_stopped_reader_hands_nothing_over() -> None:
    read_end, write_end = os.pipe()
    received: list[bytes] = []
    reader = ThreadReader(read_end, receive=received.append, end=lambda: received.append(b"end"))
    reader.start(asyncio.get_running_loop())
    reader.stop()
    os.write(write_end, b"late")
    os.close(write_end)
    while any(thread.name == "sidestep-stdin" for thread in threading.enumerate()):
        await asyncio.to_thread(
            lambda: [t.join(PATIENCE_S) for t in threading.enumerate() if t.name == "sidestep-stdin"]
        )
    assert received == []
    os.close(read_end)


# -- A real process


@pytest.mark.slow
def test_w23_nothing_but_frames_reaches_stdout() -> None:
    with RawClient(ECHO_SERVER) as client:
        client.initialize()
        assert client.result("test/stray") == "strayed"
        assert client.result("test/echo", {"after": 1}) == {"after": 1}
        assert client.shut_down() == 0
        client.wait_stdout_end()
        assert client.stray == b""
        for text in ("stray print", "stray write", "child prints", "child writes"):
            assert text in client.stderr


@pytest.mark.slow
def test_w18_serve_with_dev_null_or_a_file_ends(tmp_path: Path) -> None:
    with RawClient(ECHO_SERVER, stdin=subprocess.DEVNULL) as client:
        assert client.exit_code() == 1
    path = tmp_path / "requests"
    path.write_bytes(
        b"".join(
            encode_frame(body)
            for body in (
                b'{"jsonrpc":"2.0","id":1,"method":"initialize","params":{}}',
                b'{"jsonrpc":"2.0","id":2,"method":"shutdown"}',
                b'{"jsonrpc":"2.0","method":"exit"}',
            )
        )
    )
    with path.open("rb") as file, RawClient(ECHO_SERVER, stdin=file) as client:
        assert client.exit_code() == 0
        client.wait_stdout_end()
        assert [message["id"] for message in client.messages] == [1, 2]


@pytest.mark.slow
def test_w21_w22_a_host_that_does_not_read_is_served_and_one_that_left_ends_with_4() -> None:
    with RawClient(ECHO_SERVER) as client:
        client.initialize()
        client.pause_reading()
        flood = client.request("test/flood", {"count": 5000})
        echoes = [client.request("test/echo", {"n": n}) for n in range(100)]
        client.resume_reading()
        state = client.expect(response_to(flood))["result"]
        assert state["dropped"] > 0
        assert state["queued"] <= 2 << 20
        for echo in echoes:
            client.expect(response_to(echo))
        client.leave_stdout()
        client.request("test/echo")
        assert client.exit_code() == 4


@pytest.mark.slow
def test_expectations_fail_at_once_when_they_cannot_be_met() -> None:
    """The client's own promise: no test waits for a server that is gone."""
    with RawClient(ECHO_SERVER) as client:
        client.initialize()
        client.close_stdin()
        with pytest.raises(ExpectationFailed) as caught:
            client.expect(notification("test/never"))
        assert caught.value.verdict is Verdict.UNMEETABLE
        assert client.exit_code() == 1

    with RawClient([sys.executable, "-c", "print('no frame')"]) as client:
        with pytest.raises(ExpectationFailed) as caught:
            client.expect(notification("test/never"))
        assert caught.value.verdict is Verdict.UNMEETABLE
        assert b"no frame" in client.stray
