"""
Messages through servers that run: one at a time, many at once, and out of the server unasked.

All servers run during a measure and take turns in it, so that what else the machine does meets all of them.
"""

from __future__ import annotations

import json
import statistics
import time
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

from tests.bench.row import row
from tests.bench.wire_peer import message
from tests.bench.wire_peers import FLOOR, LOOP_FLOOR, NODE, PYGLS, SIDESTEP

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.bench.wire_peer import WirePeer
    from tests.bench.wire_peers import WirePeers

ROUND_TRIP_ROUNDS = 40
ROUND_TRIPS = 100
ROUND_TRIP_AIM = 1.6

FLOOD_ROUNDS = 7
FLOOD = 10_000
# pygls takes about a millisecond for each message, so it gets fewer: the figures are by message.
FEWER = {PYGLS: 1_000}
FLOOD_AIMS = {PYGLS: 15.0, NODE: 2.0}
# Stays below the contract's 256 requests in flight, so that every one is served.
WINDOW = 200

LINES = 5_000
LINES_AIM = 3.0
# What our trace says of a notification; everybody sends this text.
LINE = "received notification bench/nothing"
SOURCE = f"""
from sidestep import log

async def main():
    for number in range({LINES}):
        log("{LINE}")
"""

# Makes about 100 bytes of body.
_PARAMS = {"runId": "run_0000000000000000"}
_METHODS = {SIDESTEP: "workflow/unsubscribe"}


async def measure_wire_round_trip(peers: WirePeers) -> list[dict[str, Any]]:
    """
    A request of 100 bytes and its answer, one at a time: ours is `workflow/unsubscribe` of a run that nobody follows,
    which goes through decoding and tables as every request does, is answered without a task, and touches no store.

    The floors give the bytes back unread; the peers answer `bench/ping`.
    """
    with _running(peers, SIDESTEP, FLOOR, LOOP_FLOOR, PYGLS, NODE) as running:
        times: dict[str, list[float]] = {name: [] for name in running}
        for _ in range(ROUND_TRIP_ROUNDS + 1):
            for name, peer in running.items():
                times[name].append(statistics.median(_round_trip_s(peer) for _ in range(ROUND_TRIPS)))
    count = ROUND_TRIP_ROUNDS * ROUND_TRIPS
    aims = {FLOOR: ROUND_TRIP_AIM}
    rows: list[dict[str, Any]] = []
    for name in [each for each in times if each != SIDESTEP]:
        ratios = [ours / theirs for ours, theirs in zip(times[SIDESTEP][1:], times[name][1:], strict=True)]
        rows.append(row("round trip of 100 B", ratios, floor=_WORDS[name], aim=aims.get(name), n=count))
    return rows


async def measure_wire_pipelined(peers: WirePeers) -> list[dict[str, Any]]:
    """
    Requests that do not wait for answers.

    In one write they name an unknown method, so that every server says the same: of served ones we refuse as overloaded
    what exceeds the limit. Those are measured in windows below it.
    """
    with _running(peers, SIDESTEP, PYGLS, NODE) as running:
        refused: dict[str, list[float]] = {name: [] for name in running}
        served: dict[str, list[float]] = {name: [] for name in running}
        for _ in range(FLOOD_ROUNDS + 1):
            for name, peer in running.items():
                count = FEWER.get(name, FLOOD)
                refused[name].append(_flood_s(peer, "bench/unknown", count) / count)
            for name, peer in running.items():
                count = FEWER.get(name, FLOOD)
                method = _METHODS.get(name, "bench/ping")
                served[name].append(sum(_flood_s(peer, method, WINDOW) for _ in range(count // WINDOW)) / count)
    one_write = f"{FLOOD:,} requests in one write{_FEWER_WORDS}, each -32601"
    windowed = f"{FLOOD:,} served requests{_FEWER_WORDS}, {WINDOW} at a time"
    return [
        *_times_as_fast(one_write, refused, FLOOD_AIMS),
        *_times_as_fast(windowed, served, {}),
    ]


async def measure_wire_notifications(peers: WirePeers) -> list[dict[str, Any]]:
    """
    What a server says unasked, until the last of it has come.

    One for one: a notification out for each that comes in; ours is a line of `$/logTrace`. From a loop: the peers send
    the same line with nothing coming in; ours are events of a run's log lines, batched as a host gets them, to one
    that subscribes to a finished run, and to one that starts it and waits for script, sandbox and commits as well.
    """
    with _running(peers, SIDESTEP, PYGLS, NODE) as running:
        ours = running[SIDESTEP]
        reflected: dict[str, list[float]] = {name: [] for name in running}
        pushed: dict[str, list[float]] = {name: [] for name in running if name != SIDESTEP}
        replayed: list[float] = []
        logged: list[float] = []
        for _ in range(FLOOD_ROUNDS + 1):
            for name, peer in running.items():
                count = FEWER.get(name, LINES)
                reflected[name].append((_traced_s(peer) if name == SIDESTEP else _reflected_s(peer, count)) / count)
            for name in pushed:
                pushed[name].append(_pushed_s(running[name]))
            logged_s, run_id = _logged_s(ours)
            logged.append(logged_s)
            replayed.append(_replayed_s(ours, run_id))
    aims = {PYGLS: LINES_AIM}
    return [
        *_times_as_fast(f"{LINES:,} notifications out{_FEWER_WORDS}, one for one in", reflected, aims),
        *_times_as_fast(f"{LINES:,} events out, of a stored run", {SIDESTEP: replayed, **pushed}, aims),
        *_times_as_fast(f"{LINES:,} events out, as a run logs them", {SIDESTEP: logged, **pushed}, {}),
    ]


_FEWER_WORDS = f" ({FEWER[PYGLS]:,} to pygls)"
_WORDS = {
    FLOOR: "a pipe echo",
    LOOP_FLOOR: "an event loop's echo",
    PYGLS: "hello in pygls",
    NODE: "hello in node",
}


@contextmanager
def _running(peers: WirePeers, *names: str) -> Iterator[dict[str, WirePeer]]:
    """Initialized servers with nothing left to do, by name."""
    with ExitStack() as stack:
        running = {name: stack.enter_context(peers.spawn(name)) for name in peers.among(*names)}
        for name, peer in running.items():
            if name not in (FLOOR, LOOP_FLOOR):
                peer.initialize(folder=peers.folder)
                peer.initialized()
        yield running


def _round_trip_s(peer: WirePeer) -> float:
    method = _METHODS.get(peer.name, "bench/ping")
    request = message(method, _PARAMS, peer.number())
    began = time.perf_counter()
    peer.exchange(request)
    return time.perf_counter() - began


def _flood_s(peer: WirePeer, method: str, count: int) -> float:
    numbers = [peer.number() for _ in range(count)]
    took_s, bodies = peer.flood(b"".join(message(method, _PARAMS, number) for number in numbers), count)
    peer.check_answers(bodies, numbers, is_error=method == "bench/unknown")
    return took_s


def _traced_s(peer: WirePeer) -> float:
    peer.write(message("$/setTrace", {"value": "messages"}))
    took_s, bodies = peer.flood(message("bench/nothing", {}) * LINES, LINES)
    assert all(LINE.encode() in body for body in bodies), bodies[0]
    # That we do not want to hear more of it is told, too.
    peer.write(message("$/setTrace", {"value": "off"}))
    peer.read(1)
    return took_s


def _reflected_s(peer: WirePeer, count: int) -> float:
    took_s, bodies = peer.flood(message("bench/nothing", {}) * count, count)
    assert all(LINE.encode() in body for body in bodies), bodies[0]
    return took_s


def _pushed_s(peer: WirePeer) -> float:
    took_s, bodies = peer.flood(message("bench/push", {"count": LINES}, peer.number()), LINES + 1)
    assert sum(LINE.encode() in body for body in bodies) == LINES, bodies[0]
    return took_s


def _logged_s(peer: WirePeer) -> tuple[float, str]:
    """Returns the seconds from the start of a run to its outcome, and the run."""
    number = peer.number()
    start = message("workflow/start", {"script": {"source": SOURCE}, "events": True}, number)
    answer = b'{"jsonrpc":"2.0","id":%d,' % number
    took_s, bodies = peer.flood_until(start, lambda body: body.startswith(answer))
    assert sum(body.count(LINE.encode()) for body in bodies) == LINES, bodies[-1]
    return took_s, json.loads(bodies[-1])["result"]["runId"]


def _replayed_s(peer: WirePeer, run_id: str) -> float:
    """Seconds until a subscriber has every event, from the first to the last."""
    # Besides its lines, a run that ends well has 4 events: pending, running, its result, completed.
    last = b'"sequence":%d,"at"' % (LINES + 4)
    subscribe = message("workflow/subscribe", {"runId": run_id, "afterSequence": 0}, peer.number())
    took_s, bodies = peer.flood_until(subscribe, lambda body: last in body)
    assert sum(body.count(LINE.encode()) for body in bodies) == LINES, bodies[-1][-300:]
    peer.ask("workflow/unsubscribe", {"runId": run_id})
    return took_s


def _times_as_fast(what: str, times: dict[str, list[float]], aims: dict[str, float]) -> list[dict[str, Any]]:
    """One row for each peer; the first round warmed everything up."""
    rows: list[dict[str, Any]] = []
    for name in [each for each in times if each != SIDESTEP]:
        ratios = [theirs / ours for ours, theirs in zip(times[SIDESTEP][1:], times[name][1:], strict=True)]
        floor = f"as fast as {_WORDS[name]}"
        rows.append(row(what, ratios, floor=floor, at_least=aims.get(name)))
    return rows
