"""Group `framing`, first half: headers and lengths, good and bad."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from sidestep_protocol.conformance.answers import refused, result_of
from sidestep_protocol.conformance.check import check, must, must_equal
from sidestep_protocol.framing import LENGTH_MAX, MESSAGE_BYTES_MAX

if TYPE_CHECKING:
    from sidestep_protocol.conformance.server_process import ServerProcess
    from sidestep_protocol.conformance.trial import Trial


def _body(number: int) -> bytes:
    return json.dumps({"jsonrpc": "2.0", "id": number, "method": "workflow/health", "params": {}}).encode()


async def _refused_once(server: ServerProcess, reason: str, data: bytes) -> None:
    """Send what is refused under id null; a request behind it is served."""
    since = server.mark()
    server.send_bytes(data)
    number = server.new_id()
    server.send_bodies(_body(number))
    what = f"{data[:80]!r}"
    refused(await server.response(None, what, since=since), reason, what)
    result_of(await server.response(number, f"a request behind {what}"), "workflow/health")
    told = [message for message in server.received[since:] if message.get("id", 0) is None]
    must(len(told) == 1, f"{what} is refused once", told)


@check("The wire")
async def frames_are_read_however_they_are_cut(trial: Trial) -> None:
    """Two frames in one write, and one frame in many, are the same messages."""
    server = await trial.server()
    first, second, third = server.new_id(), server.new_id(), server.new_id()
    server.send_bodies(_body(first), _body(second))
    whole = b"Content-Length: %d\r\n\r\n%b" % (len(_body(third)), _body(third))
    for at in range(0, len(whole), 7):
        server.send_bytes(whole[at : at + 7])
    for number in (first, second, third):
        result_of(await server.response(number), "workflow/health")


@check("W3")
async def headers_that_lsp_allows_are_read(trial: Trial) -> None:
    """Header names ignore case, the space is optional, and a Content-Type before the length is passed over."""
    server = await trial.server()
    heads = (
        b"content-length: %d\r\n\r\n",
        b"Content-Length:%d\r\n\r\n",
        b"Content-Type: application/vscode-jsonrpc; charset=utf-8\r\nContent-Length: %d\r\n\r\n",
    )
    for head in heads:
        number = server.new_id()
        body = _body(number)
        server.send_bytes(head % len(body) + body)
        result_of(await server.response(number, f"a request behind {head!r}"), "workflow/health")


@check("W3")
async def a_header_without_a_usable_length_is_refused_once(trial: Trial) -> None:
    """A missing, negative, absurd or unreadable length is answered once under null, and reading goes on."""
    server = await trial.server()
    heads = (
        b"Content-Type: text/plain\r\n\r\n",
        b"Content-Length: NaN\r\n\r\n",
        b"Content-Length: -5\r\n\r\n",
        b"Content-Length: %d\r\n\r\n" % (LENGTH_MAX * 100_000),
        b"Content-Length: 1e3\r\n\r\n",
    )
    for head in heads:
        await _refused_once(server, "badFraming", head)


@check("W4")
async def headers_that_end_in_lf_alone_do_no_harm(trial: Trial) -> None:
    """A block whose lines end in LF is either read or refused once under null; reading goes on."""
    server = await trial.server()
    number, later = server.new_id(), server.new_id()
    server.send_bytes(b"Content-Length: %d\n\n%b" % (len(_body(number)), _body(number)))
    server.send_bodies(_body(later))
    result_of(await server.response(later, "a request behind it"), "workflow/health")
    told = len(server.responses(number)) + len(server.responses(None))
    must_equal(told, 1, "the answers to the message with LF headers")


@check("W2")
async def a_length_that_is_too_short_loses_one_message_only(trial: Trial) -> None:
    """A body longer than its header says is refused under null, and the next messages are served."""
    server = await trial.server()
    body = _body(server.new_id())
    server.send_bytes(b"Content-Length: %d\r\n\r\n%b" % (len(body) - 10, body))
    await server.response(None, "a body cut short")
    await _is_served_soon(server)


@check("W2")
async def a_length_that_is_too_long_loses_two_messages_at_most(trial: Trial) -> None:
    """A body shorter than its header says takes from the next message; those after it are served."""
    server = await trial.server()
    body = _body(server.new_id())
    server.send_bytes(b"Content-Length: %d\r\n\r\n%b" % (len(body) + 10, body))
    server.send_bodies(_body(server.new_id()))
    await server.response(None, "a body with a part of the next message")
    await _is_served_soon(server)


async def _is_served_soon(server: ServerProcess) -> None:
    """One of the next two requests is answered."""
    numbers = [server.new_id(), server.new_id()]
    server.send_bodies(*(_body(number) for number in numbers))
    result_of(await server.response(numbers[1], "the second request after it"), "workflow/health")


@check("W7")
async def a_body_over_the_limit_is_skipped(trial: Trial) -> None:
    """A body over messageBytesMax is answered payloadTooLarge under null, and the next request is served."""
    server = await trial.server()
    over = int(server.capability.get("limits", {}).get("messageBytesMax", MESSAGE_BYTES_MAX)) + 1
    server.send_bytes(b"Content-Length: %d\r\n\r\n" % over)
    server.send_bytes(b"x" * over, shown=f"({over} bytes)")
    number = server.request("workflow/health")
    refused(await server.response(None, "a body over the limit"), "payloadTooLarge", "a body over the limit")
    result_of(await server.response(number, "the request behind it"), "workflow/health")


@check("The wire", own_server=True)
async def three_unusable_headers_in_a_row_end_the_process(trial: Trial) -> None:
    """Three unusable header blocks in a row are each answered, and end the process with exit code 1."""
    server = await trial.server()
    server.send_bytes(b"Content-Length: no\r\n\r\n" * 3)
    must_equal(await server.exit_code(), 1, "the exit code after three unusable headers")


CHECKS = (
    frames_are_read_however_they_are_cut,
    headers_that_lsp_allows_are_read,
    a_header_without_a_usable_length_is_refused_once,
    headers_that_end_in_lf_alone_do_no_harm,
    a_length_that_is_too_short_loses_one_message_only,
    a_length_that_is_too_long_loses_two_messages_at_most,
    a_body_over_the_limit_is_skipped,
    three_unusable_headers_in_a_row_end_the_process,
)
