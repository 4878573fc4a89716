"""
W25: answers to our requests. This version sends none by itself, so what can go wrong is an answer to nothing.

What a question does with errors, garbage, late and duplicate answers: `tests/unit/rpc/test_session.py`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.protocol.host import Host, frame, said
from tests.support.raw_client import response_to

if TYPE_CHECKING:
    from typing import Any

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("request_id", ["1", '"1"', '"sidestep-1"', '"sidestep-0"', "0", '""', "null", "1.5", "{}"])
@pytest.mark.parametrize(
    "answer",
    [
        '"result":null',
        '"result":{"deep":[[[]]]}',
        '"error":{"code":-1,"message":"no"}',
        '"error":7',
        '"result":"\ud800"',
    ],
)
def test_w25_an_answer_to_nothing_is_ignored(shared: Host, request_id: str, answer: str) -> None:
    """An id of ours that is long answered, or never was: late, duplicate and made-up answers look alike."""
    body = f'{{"jsonrpc":"2.0","id":{request_id},{answer}}}'
    found = said(shared.client, frame(body) * 2)
    # Invalid UTF-8 alone is no message at all.
    assert [m["error"]["code"] for m in found] in ([], [-32700, -32700])


def test_w25_an_answer_under_the_id_of_a_request_in_flight_does_not_answer_it(host: Host) -> None:
    number, _ = host.gated()
    assert said(host.client, frame(f'{{"jsonrpc":"2.0","id":{number},"result":{{"status":"completed"}}}}')) == []
    host.open_gate()
    assert host.client.expect(response_to(number))["result"]["status"] == "completed"


def test_w25_the_server_asks_nothing_of_a_host_that_offers_nothing(host: Host) -> None:
    """LSP's dynamic registration, configuration and progress creation are asked for by nobody here."""
    uri = (host.folder / "flow.py").as_uri()
    document: dict[str, Any] = {"uri": uri, "languageId": "python", "version": 1, "text": "async def main(): pass\n"}
    host.client.notify("textDocument/didOpen", {"textDocument": document})
    host.client.expect(response_to(host.start(workDoneToken="t")))
    host.client.notify("workspace/didChangeConfiguration", {"settings": {}})
    assert host.client.shut_down() == 0
    host.client.wait_stdout_end()
    assert [m for m in host.client.messages if "method" in m and "id" in m] == []
