"""Any bytes in any pieces: no crash, no hang, exactly one answer for each message that wants one. G7, W1 to W15."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st

from tests.protocol.fuzzed_streams import splits, streams, wanted_answers
from tests.support.raw_client import RawClient, count_of
from tests.unit.rpc.memory_wire import MemoryWire

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = pytest.mark.slow

SESSION_BYTES_MAX = 1 << 20
SOAK_S = 60


@given(stream=streams(), is_ready=st.sampled_from([True, True, True, False]), data=st.data())
@settings(max_examples=150, deadline=None)
def test_any_bytes_in_any_pieces_get_exactly_the_answers_they_want(
    stream: bytes, is_ready: bool, data: st.DataObject
) -> None:
    asyncio.run(check_session(stream, splits(stream, data), is_ready=is_ready))


async def check_session(stream: bytes, chunks: list[bytes], *, is_ready: bool) -> None:
    wire = MemoryWire()
    if is_ready:
        await wire.ready()
    before = len(wire.sent)
    for chunk in chunks:
        wire.session.receive(chunk)
        await asyncio.sleep(0)
    wire.gate.set()
    await wire.session.aclose(within_s=5)
    wanted = wanted_answers(stream, SESSION_BYTES_MAX)
    answers = [message for message in wire.sent[before:] if "method" not in message]
    assert len(answers) == wanted.answers, answers
    assert wire.session.requests_in_flight == 0
    assert wire.session._end is None or wanted.ends
    for answer in answers:
        assert answer["jsonrpc"] == "2.0"
        assert ("result" in answer) != ("error" in answer)


@given(stream=streams(), data=st.data())
@settings(max_examples=60, deadline=None)
def test_how_the_bytes_are_cut_changes_no_refusal(stream: bytes, data: st.DataObject) -> None:
    """What is answered without a handler is answered alike, in the same order."""

    async def refusals(chunks: list[bytes]) -> list[object]:
        wire = MemoryWire()
        for chunk in chunks:
            wire.session.receive(chunk)
        found = [message for message in wire.sent if "error" in message]
        wire.gate.set()
        await wire.session.aclose(within_s=5)
        return found

    assert asyncio.run(refusals(splits(stream, data))) == asyncio.run(refusals([stream]))


# -- The same to a real process, which goes on living from stream to stream.

PROCESS_METHODS = (
    "workflow/health",
    "workflow/get",
    "workflow/list",
    "workflow/subscribe",
    "none",
    "$/cancelRequest",
    "$/x",
    "initialize",
    "textDocument/didOpen",
)
PROCESS_BYTES_MAX = 16 << 20
# Longer than what any stream here may still be waiting for: ends the body or the header it broke off in.
PADDING = b" " * 4000 + b"\r\n\r\n"
# Answered last: whatever is told beside the wanted answers comes before it, or in the way of the next stream.
FENCE = b'Content-Length: 51\r\n\r\n{"jsonrpc":"2.0","id":"a fence","method":"a fence"}'


class Target:
    """A server that is replaced when a stream was its last, as the contract says."""

    def __init__(self, store: Path) -> None:
        self._store = store
        self.client = self._connect()

    def _connect(self) -> RawClient:
        client = RawClient.spawn(store=self._store)
        client.initialize()
        return client

    def check(self, stream: bytes, chunks: list[bytes]) -> None:
        wanted = wanted_answers(stream + PADDING + FENCE, PROCESS_BYTES_MAX)
        mark = self.client.mark()
        for chunk in [*chunks, PADDING, FENCE]:
            self.client.send_bytes(chunk)
        if wanted.ends:
            assert self.client.exit_code() == 1
            self.client.wait_stdout_end()
            assert len([m for m in self.client.messages[mark:] if "method" not in m]) == wanted.answers
        else:
            self.client.expect(count_of(lambda m: "method" not in m, wanted.answers), since=mark)
        assert self.client.stray == b""
        if wanted.ends or not wanted.is_whole:
            self.client.close()
            self.client = self._connect()


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> object:
    made = Target(tmp_path_factory.mktemp("fuzz") / "s.db")
    yield made
    made.client.close()


def fuzz_process(target: Target) -> Callable[[], None]:
    @given(stream=streams(PROCESS_METHODS), data=st.data())
    @settings(max_examples=40, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    def check(stream: bytes, data: st.DataObject) -> None:
        target.check(stream, splits(stream, data))

    return check


def test_a_real_process_answers_any_bytes_as_the_contract_says(target: Target) -> None:
    fuzz_process(target)()


def go_on_for(seconds: float, check: Callable[[], None]) -> None:
    ends_at = time.monotonic() + seconds
    turn = 0
    while time.monotonic() < ends_at:
        turn += 1
        seed(turn)(check)()


@pytest.mark.soak
def test_any_bytes_for_a_minute() -> None:
    go_on_for(SOAK_S, test_any_bytes_in_any_pieces_get_exactly_the_answers_they_want)


@pytest.mark.soak
def test_a_real_process_for_a_minute(target: Target) -> None:
    go_on_for(SOAK_S, fuzz_process(target))
