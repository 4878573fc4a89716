"""Before any work: from the spawn to the initialize reply, and the memory of a server that has nothing to do."""

from __future__ import annotations

import time
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from tests.bench.row import row
from tests.bench.wire_peers import NODE, PYGLS, SIDESTEP

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.bench.wire_peers import WirePeers

START_ROUNDS = 25
START_AIMS = {PYGLS: 0.4, NODE: 1.2}

IDLE_ROUNDS = 5
# What a server does when nobody asks for anything, it does within this time.
IDLE_S = 2.0
IDLE_AIM = 0.7
# What an editor says about itself and a desktop app does not.
EDITOR = {"textDocument": {"synchronization": {"didSave": True}}}


async def measure_wire_start(peers: WirePeers) -> list[dict[str, Any]]:
    """
    From the spawn to the last byte of the initialize reply.

    The store exists, and its folder is open in no other process; bytecode is compiled.
    """
    names = peers.among(SIDESTEP, PYGLS, NODE)
    times: dict[str, list[float]] = {name: [] for name in names}
    for number in range(START_ROUNDS + 1):
        for name in _rotated(names, number):
            times[name].append(_start_s(peers, name))
    rows: list[dict[str, Any]] = []
    for name in names[1:]:
        # The first round also compiles, makes the store, and fills the system's caches.
        ratios = [ours / theirs for ours, theirs in zip(times[SIDESTEP][1:], times[name][1:], strict=True)]
        rows.append(row("spawn to initialize reply", ratios, floor=f"hello in {name}", aim=START_AIMS[name]))
    return rows


async def measure_wire_memory(peers: WirePeers) -> list[dict[str, Any]]:
    """Resident set, with children, after `initialize`, `initialized` and idle time."""
    ours: list[float] = []
    editors: list[float] = []
    for number in range(IDLE_ROUNDS + 1):
        hello, idle = _idle_bytes(peers, {PYGLS: {}, SIDESTEP: {}})
        ours.append(idle / hello)
        if number:
            editors.append(_idle_bytes(peers, {SIDESTEP: EDITOR})[0] / hello)
    return [
        row("idle memory, host without documents", ours[1:], floor="hello in pygls", aim=IDLE_AIM),
        row("idle memory, editor: pygls is loaded", editors, floor="hello in pygls"),
    ]


def _start_s(peers: WirePeers, name: str) -> float:
    began = time.perf_counter()
    with peers.spawn(name) as peer:
        peer.initialize()
        return time.perf_counter() - began


def _idle_bytes(peers: WirePeers, capabilities: dict[str, dict[str, Any]]) -> list[int]:
    """Of servers that are idle at the same time, in order; `capabilities` by peer."""
    with ExitStack() as stack:
        running = [stack.enter_context(peers.spawn(name)) for name in capabilities]
        for peer, told in zip(running, capabilities.values(), strict=True):
            peer.initialize(capabilities=told)
            peer.initialized()
        time.sleep(IDLE_S)
        return [peer.resident_bytes() for peer in running]


def _rotated(names: Sequence[str], number: int) -> list[str]:
    """Each goes first in turn, so that none always meets the caches the other left."""
    cut = number % len(names)
    return [*names[cut:], *names[:cut]]
