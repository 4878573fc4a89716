"""`$/setTrace` and `$/logTrace`."""

from __future__ import annotations

from typing import Any

import pytest

from sidestep.rpc.envelope import decode, encode_error, encode_notification, encode_request, encode_result
from sidestep.rpc.errors import wire_error
from sidestep.rpc.trace import NAME_CHARS_MAX, REQUESTS_MAX, VERBOSE_BYTES_MAX, Trace, TraceLevel
from sidestep.rpc.transport import Lane


class Wire:
    """A trace between what is received and an outbound that keeps what it takes."""

    def __init__(self, level: str | None = "messages") -> None:
        self.now_s = 0.0
        self.taken: list[bytes] = []
        self.is_congested = False
        self.told: list[dict[str, Any]] = []
        self.trace = Trace(self, lambda: self.now_s)
        self.trace.connect(self._notify)
        self.trace.set_level(level)

    def offer(self, body: bytes, lane: Lane) -> bool:
        self.taken.append(body)
        return not self.is_congested

    def _notify(self, method: str, params: Any, lane: Lane) -> bool:
        assert (method, lane) == ("$/logTrace", Lane.DROPPABLE)
        self.told.append(params)
        # As the session does: what is told goes through the trace, too.
        return self.trace.offer(encode_notification(method, params), lane)

    def receive(self, body: bytes) -> None:
        self.trace.received(decode(body))

    @property
    def lines(self) -> list[str]:
        return [params["message"] for params in self.told]


def test_off_is_the_default_and_tells_nothing() -> None:
    wire = Wire(None)
    wire.receive(b'{"jsonrpc":"2.0","id":1,"method":"a"}')
    assert wire.trace.offer(encode_result(1, {}), Lane.MUST)
    assert (wire.told, wire.trace.level) == ([], TraceLevel.OFF)


def test_a_line_for_each_message_in_and_out() -> None:
    wire = Wire()
    wire.receive(b'{"jsonrpc":"2.0","id":1,"method":"a/b","params":{"x":1}}')
    wire.now_s = 0.25
    wire.trace.offer(encode_result(1, {"y": 2}), Lane.MUST)
    wire.trace.offer(encode_notification("c", {}), Lane.MUST)
    wire.trace.offer(encode_request("s-1", "d", {}), Lane.MUST)
    wire.receive(b'{"jsonrpc":"2.0","id":"s-1","error":{"code":1}}')
    wire.receive(b"[]")
    wire.trace.offer(encode_error(None, wire_error("batch", "no")), Lane.MUST)
    assert wire.lines == [
        "received request a/b (1)",
        "sent response a/b (1) after 250 ms",
        "sent notification c",
        "sent request d (s-1)",
        "received error response (s-1)",
        "received a message that is none: batches are not supported",
        "sent error response (null)",
    ]
    assert all(params.keys() == {"message"} for params in wire.told)


def test_verbose_adds_the_beginning_of_what_is_carried() -> None:
    wire = Wire("verbose")
    wire.receive(b'{"jsonrpc":"2.0","method":"a","params":{"key":"value"}}')
    wire.trace.offer(encode_result(1, "x" * 10 * VERBOSE_BYTES_MAX), Lane.MUST)
    assert wire.told[0]["verbose"] == 'params: {"key":"value"}'
    assert len(wire.told[1]["verbose"]) < VERBOSE_BYTES_MAX + 100
    assert wire.told[1]["verbose"].endswith(f"... ({10 * VERBOSE_BYTES_MAX + 2} bytes in all)")


def test_a_character_is_cut_in_two_without_harm() -> None:
    wire = Wire("verbose")
    wire.trace.offer(encode_result(1, "xyü" * VERBOSE_BYTES_MAX), Lane.MUST)
    wire.trace.offer(encode_result(1, "ü" * VERBOSE_BYTES_MAX), Lane.MUST)
    assert len(wire.told) == 2


def test_names_are_bounded_and_stay_on_one_line() -> None:
    wire = Wire()
    wire.receive(encode_request("i\n" * 1000, "m\n" * 1000, {}))
    (line,) = wire.lines
    assert "\n" not in line
    assert len(line) < 2 * NAME_CHARS_MAX + 100


@pytest.mark.parametrize(
    ("params", "level"),
    [
        (b'{"value":"verbose"}', TraceLevel.VERBOSE),
        (b'{"value":"compact"}', TraceLevel.MESSAGES),
        (b'{"value":"off"}', TraceLevel.OFF),
        (b'{"value":"loud"}', TraceLevel.MESSAGES),
        (b'{"value":7}', TraceLevel.MESSAGES),
        (b"null", TraceLevel.MESSAGES),
        (b'{"value":"\\ud800"}', TraceLevel.MESSAGES),
    ],
)
def test_the_level_follows_set_trace_at_once_and_ignores_what_it_does_not_know(
    params: bytes, level: TraceLevel
) -> None:
    wire = Wire("messages")
    wire.receive(b'{"jsonrpc":"2.0","method":"$/setTrace","params":%b}' % params)
    assert wire.trace.level is level


def test_requests_are_remembered_up_to_a_limit_and_not_beyond_off() -> None:
    wire = Wire()
    for number in range(REQUESTS_MAX + 1):
        wire.receive(encode_request(number, "a", {}))
    wire.trace.offer(encode_result(REQUESTS_MAX, {}), Lane.MUST)
    assert wire.lines[-1] == f"sent response ({REQUESTS_MAX})"
    wire.trace.set_level("off")
    wire.trace.set_level("messages")
    wire.trace.offer(encode_result(0, {}), Lane.MUST)
    assert wire.lines[-1] == "sent response (0)"


def test_what_was_refused_is_not_told() -> None:
    wire = Wire()
    wire.is_congested = True
    assert wire.trace.offer(encode_notification("c", {}), Lane.DROPPABLE) is False
    assert (wire.told, wire.trace.is_congested) == ([], True)
