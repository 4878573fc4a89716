"""
The least server that pygls makes, for comparison: `bench/ping` answers `{}`; `bench/push` sends `count` notifications,
`bench/nothing` one.

A program of its own: it must import nothing of ours.
"""

from __future__ import annotations

from typing import Any

from pygls.lsp.server import LanguageServer

LINE = "received notification bench/nothing"

server = LanguageServer("hello", "1")


@server.feature("bench/ping")
def ping(params: Any) -> dict[str, Any]:
    return {}


@server.feature("bench/push")
def push(params: Any) -> dict[str, Any]:
    """Send the notifications, then answer."""
    for _ in range(params.count):
        server.protocol.notify("bench/line", {"message": LINE})
    return {}


@server.feature("bench/nothing")
def nothing(params: Any) -> None:
    """One notification out for each that comes in."""
    server.protocol.notify("bench/line", {"message": LINE})


server.start_io()
