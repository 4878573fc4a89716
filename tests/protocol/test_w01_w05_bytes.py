"""W1 to W5: bodies that are no JSON and headers that are none. Each is answered once, and the next request works."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tests.protocol.host import Host, errors, frame, said, start_params
from tests.support.raw_client import RawClient, count_of, response_to

if TYPE_CHECKING:
    from pathlib import Path

PARSE_ERROR = [(None, -32700, "parseError")]
BAD_FRAMING = [(None, -32700, "badFraming")]
UNKNOWN = {"jsonrpc": "2.0", "id": "asked", "method": "test/none"}
ASKED = json.dumps(UNKNOWN).encode()
ANSWERED = [("asked", -32601, "methodNotFound")]

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b" ",
        b"{",
        b"}{",
        b"nonsense",
        b'{"jsonrpc":"2.0","id":1,"method":"a"',
        b'{"jsonrpc":"2.0","id":1,"method":"a",}',
        b'{"jsonrpc":"2.0" "id":1}',
        b"{'jsonrpc':'2.0'}",
        ASKED + ASKED,
        b'{"jsonrpc":"2.0","id":1,"method":"a","params":{"n":01}}',
        b'{"jsonrpc":"2.0","id":1,"method":"a","params":{"n":NaN}}',
    ],
)
def test_w01_malformed_json_is_answered_once_under_null(shared: Host, body: bytes) -> None:
    assert errors(said(shared.client, frame(body))) == PARSE_ERROR


def test_w02_a_length_too_short_loses_its_own_message_and_no_other(shared: Host) -> None:
    for missing in (1, 5, len(ASKED) - 1):
        cut = b"Content-Length: %d\r\n\r\n%b" % (len(ASKED) - missing, ASKED)
        assert errors(said(shared.client, cut)) == PARSE_ERROR + BAD_FRAMING


def test_w02_a_length_too_long_eats_the_next_message_and_no_further(shared: Host) -> None:
    for extra in (1, 8, 20, 25, 40):
        long = b"Content-Length: %d\r\n\r\n%b" % (len(ASKED) + extra, ASKED)
        found = errors(said(shared.client, long + frame(ASKED) + frame(ASKED.replace(b"asked", b"again"))))
        assert found[-1] == ("again", -32601, "methodNotFound")
        assert found[:-1] in (PARSE_ERROR, PARSE_ERROR + BAD_FRAMING)


@pytest.mark.parametrize(
    "header",
    [
        b"Content-Type: application/vscode-jsonrpc; charset=utf-8\r\n\r\n",
        b"Content-Length: NaN\r\n\r\n",
        b"Content-Length: \r\n\r\n",
        b"Content-Length: -1\r\n\r\n",
        b"Content-Length: +5\r\n\r\n",
        b"Content-Length: 0x10\r\n\r\n",
        b"Content-Length: 1e14\r\n\r\n",
        b"Content-Length: 100000000000000\r\n\r\n",
        b"Content-Length: " + b"9" * 5000 + b"\r\n\r\n",
        b"Content-Length: 5 5\r\n\r\n",
        b"Content-Length: 5\r\nContent-Length: 6\r\n\r\n",
        b"Content-Length 5\r\n\r\n",
        b"Content-Length: \xff\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"X" * 9000 + b"\r\n\r\n",
        b"X: " + b"y" * 9000 + b"\r\n\r\n",
    ],
)
def test_w03_a_header_without_one_usable_length_is_answered_once(shared: Host, header: bytes) -> None:
    assert errors(said(shared.client, header + ASKED)) == BAD_FRAMING


@pytest.mark.parametrize(
    "header",
    [
        b"content-length: %d\r\n\r\n",
        b"CONTENT-LENGTH: %d\r\n\r\n",
        b"Content-Length:%d\r\n\r\n",
        b"Content-Length:  \t %d \r\n\r\n",
        b"Content-Type: application/vscode-jsonrpc; charset=utf-8\r\nContent-Length: %d\r\n\r\n",
        b"Content-Length: %d\r\nContent-Type: x\r\n\r\n",
        b"Content-Length: 000%d\r\n\r\n",
        b"\r\n\r\nContent-Length: %d\r\n\r\n",
    ],
)
def test_w03_every_spelling_of_a_good_header_is_read(shared: Host, header: bytes) -> None:
    assert errors(said(shared.client, header % len(ASKED) + ASKED)) == ANSWERED


@pytest.mark.parametrize("bad", [b"Content-Length: -1\r\n\r\n", b"Nonsense: 1\r\n\r\n"])
def test_w03_three_bad_headers_in_a_row_end_the_process_with_1(tmp_path: Path, bad: bytes) -> None:
    with RawClient.spawn(store=tmp_path / "s.db") as client:
        client.initialize()
        assert errors(said(client, bad + bad)) == BAD_FRAMING * 2
        mark = client.mark()
        client.send_bytes(bad * 3)
        assert client.exit_code() == 1
        client.wait_stdout_end()
        assert errors([m for m in client.messages[mark:] if "method" not in m]) == BAD_FRAMING * 3


def test_w04_lines_may_end_in_lf_alone(shared: Host) -> None:
    bare = b"Content-Length: %d\n\n%b" % (len(ASKED), ASKED)
    mixed = b"Content-Type: x\nContent-Length: %d\r\n\n%b" % (len(ASKED), ASKED.replace(b"asked", b"mixed"))
    assert errors(said(shared.client, bare + mixed)) == [*ANSWERED, ("mixed", -32601, "methodNotFound")]


@pytest.mark.parametrize(
    "body",
    [
        b"\xef\xbb\xbf" + ASKED,
        ASKED.decode().encode("utf-16"),
        ASKED.replace(b"test/none", b"test/\xff"),
        ASKED.replace(b"test/none", b"test/\xed\xa0\x80"),
        ASKED.replace(b"test/none", b"test/\xc0\xaf"),
        ASKED.replace(b'"id"', b'\x00"id"'),
        ASKED.replace(b"none", b"no\x00ne"),
        b"\x00" * 100,
    ],
    ids=["bom", "utf-16", "ff", "encoded surrogate", "overlong", "nul between", "nul inside", "nuls"],
)
def test_w05_what_is_no_utf8_json_is_answered_under_null(shared: Host, body: bytes) -> None:
    assert errors(said(shared.client, frame(body))) == PARSE_ERROR


def test_w05_invalid_utf8_in_params_is_answered_under_its_id(shared: Host) -> None:
    body = b'{"jsonrpc":"2.0","id":"asked","method":"workflow/get","params":{"runId":"\xff"}}'
    assert errors(said(shared.client, frame(body))) == [("asked", -32602, "invalidParams")]


def test_w05_what_javascript_escapes_is_answered_under_its_id(shared: Host) -> None:
    """`JSON.stringify` writes lone surrogates as escapes: whatever becomes of the request, its id is echoed."""
    text = "a\ud83d b\udc00 c\x00 d\U0001f600 e\u2028 f\x7f"
    body = json.dumps({"jsonrpc": "2.0", "id": text, "method": "test/\ud800"})
    assert errors(said(shared.client, frame(body))) == [(text, -32601, "methodNotFound")]
    body = json.dumps({"jsonrpc": "2.0", "id": text, "method": "workflow/get", "params": {"runId": text}})
    assert errors(said(shared.client, frame(body))) == [(text, -32602, "invalidParams")]
    source = "async def main(text: str):\n    return [text]\n"
    whole = text.replace("\ud83d", "").replace("\udc00", "")
    number = shared.client.request("workflow/start", start_params(source, args={"text": whole}))
    assert shared.client.expect(response_to(number))["result"]["result"]["data"] == [whole]


def test_w01_to_w05_a_byte_at_a_time_is_read_like_one_write(shared: Host) -> None:
    stream = frame(b"{") + b"Content-Length: x\r\n\r\n" + b"content-length:%d\n\n%b" % (len(ASKED), ASKED)
    mark = shared.client.mark()
    for byte in stream:
        shared.client.send_bytes(bytes([byte]))
    answers = shared.client.expect(count_of(lambda m: "method" not in m, 3), since=mark)
    assert errors(answers) == PARSE_ERROR + BAD_FRAMING + ANSWERED
