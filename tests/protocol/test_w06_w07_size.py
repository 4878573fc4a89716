"""W6, W7: deep, huge and long messages are answered, and memory stays where it was."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tests.protocol.host import Host, errors, frame, resident_bytes, said, start_params
from tests.support.raw_client import RawClient, response_to

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.slow

MIB = 1024 * 1024
MESSAGE_BYTES_MAX = 16 * MIB
DEEP = b"[" * 200_000 + b"]" * 200_000
DEEP_OBJECTS = b'{"a":' * 200_000 + b"1" + b"}" * 200_000
GROWTH_BYTES_MAX = 5 * MIB


@pytest.mark.parametrize("deep", [DEEP, DEEP_OBJECTS], ids=["arrays", "objects"])
def test_w06_200k_levels_are_answered_under_the_id_wherever_they_stand(shared: Host, deep: bytes) -> None:
    head = b'{"jsonrpc":"2.0","id":"deep","method":"workflow/get","params":{"runId":'
    assert errors(said(shared.client, frame(head + deep + b"}}"))) == [("deep", -32600, "invalidRequest")]
    after = b'{"x":' + deep + b',"jsonrpc":"2.0","id":7,"method":"workflow/get"}'
    # The search for an id is a courtesy and ends somewhere.
    wanted = None if deep is DEEP_OBJECTS else 7
    assert errors(said(shared.client, frame(after))) == [(wanted, -32600, "invalidRequest")]
    assert errors(said(shared.client, frame(deep))) == [(None, -32600, "invalidRequest")]


def test_w06_an_unfinished_depth_is_answered_too(shared: Host) -> None:
    (found,) = errors(said(shared.client, frame(b"[" * 400_000)))
    assert found[0] is None
    assert found[1] in (-32600, -32700)


@pytest.mark.parametrize("number", ["1e999", "-1e999", "1" * 400, "0." + "1" * 4000, "1e-999", "9" * 5000])
def test_w06_huge_numbers_are_answered_under_their_id(shared: Host, number: str) -> None:
    head = '{"jsonrpc":"2.0","id":"huge","method":"workflow/list","params":{"limit":'
    ((request_id, code, _),) = errors(said(shared.client, frame(head + number + "}}")))
    # A number that no parser here reads may hide the id as well.
    assert (request_id, code) in (("huge", -32602), (None, -32700))


def test_w06_huge_numbers_in_arguments_reach_the_script_or_are_refused(shared: Host) -> None:
    source = "async def main(n: int | float):\n    return [n]\n"
    for number in (2**53 + 1, 2**63, 10**300, -(10**300), 1.7976931348623157e308, 5e-324):
        answer = shared.client.call("workflow/start", {**start_params(source), "args": {"n": number}})
        assert answer.get("result", {}).get("result", {}).get("data", [number]) == [number]
        assert "result" in answer or answer["error"]["code"] == -31013, answer


def test_w06_of_duplicate_keys_the_last_one_counts(shared: Host) -> None:
    body = (
        '{"jsonrpc":"2.0","id":1,"method":"a","id":"last","method":"workflow/get","params":{},"params":{"runId":"x"}}'
    )
    assert errors(said(shared.client, frame(body))) == [("last", -31002, "runNotFound")]
    source = json.dumps("async def main(n: int):\n    return [n]\n")
    start = f'{{"script":{{"source":{source}}},"args":{{"n":1,"n":2}}}}'
    mark = shared.client.mark()
    shared.client.send_body(f'{{"jsonrpc":"2.0","id":"two","method":"workflow/start","params":{start}}}'.encode())
    assert shared.client.expect(response_to("two"), since=mark)["result"]["result"]["data"] == [2]


# -- W7. These servers were told `initialize` and nothing else: no part of them is still being loaded.


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RawClient]:
    with RawClient.spawn(store=tmp_path_factory.mktemp("bare") / "s.db") as client:
        client.result("initialize", {"processId": None, "rootUri": None, "capabilities": {}})
        client.result("workflow/health")
        yield client


class Growth:
    """How much a process has grown at most, looked at between the pieces of what it is sent."""

    def __init__(self, client: RawClient) -> None:
        self._pid = client.process.pid
        self._before = self._most = resident_bytes(self._pid)

    def look(self) -> None:
        self._most = max(self._most, resident_bytes(self._pid))

    @property
    def most_bytes(self) -> int:
        return self._most - self._before


def stream(client: RawClient, growth: Growth, piece: bytes, total: int) -> None:
    for _ in range(total // len(piece)):
        client.send_bytes(piece)
        growth.look()


def test_w07_a_100_mb_message_is_passed_over_in_constant_memory(bare: RawClient) -> None:
    growth = Growth(bare)
    mark = bare.mark()
    total = 100 * MIB
    bare.send_bytes(b"Content-Length: %d\r\n\r\n" % total)
    # Told as soon as the header is read.
    assert errors([bare.expect(response_to(None), since=mark)]) == [(None, -32600, "payloadTooLarge")]
    stream(bare, growth, b'{"method":"exit"}' * (64 * 1024 // 16), total - total % (64 * 1024 // 16 * 17))
    rest = total % (64 * 1024 // 16 * 17)
    assert said(bare, b" " * rest) == []
    growth.look()
    assert growth.most_bytes < GROWTH_BYTES_MAX


def test_w07_an_endless_header_is_passed_over_in_constant_memory(bare: RawClient) -> None:
    growth = Growth(bare)
    mark = bare.mark()
    stream(bare, growth, b"x" * 64 * 1024, 50 * MIB)
    assert said(bare, b"\r\n\r\n") == []
    assert errors([bare.expect(response_to(None), since=mark)]) == [(None, -32700, "badFraming")]
    assert growth.most_bytes < GROWTH_BYTES_MAX


def test_w07_the_limit_itself_is_let_in_and_one_byte_more_is_not(bare: RawClient) -> None:
    body = b'{"jsonrpc":"2.0","id":"big","method":"workflow/health","params":{}}'
    padded = body + b" " * (MESSAGE_BYTES_MAX - len(body))
    (answer,) = said(bare, frame(padded))
    assert answer["id"] == "big"
    assert errors(said(bare, frame(padded + b" "))) == [(None, -32600, "payloadTooLarge")]
