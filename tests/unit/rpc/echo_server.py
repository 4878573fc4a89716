"""
A server process of transport and session alone, for the tests of the wire.

`test/stray` prints, writes to fd 1 as a C library would, and starts a child that inherits fd 0 and 1.
`test/flood` sends more than the pipe and the queue hold.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from typing import Any

from sidestep.rpc.admission import SessionLimits
from sidestep.rpc.lifecycle import EndCause, LifecycleHooks
from sidestep.rpc.reader import StdinReader
from sidestep.rpc.router import Admission, RequestContext, Route, Router
from sidestep.rpc.session import Session
from sidestep.rpc.transport import Lane, take_stdin, take_stdout
from sidestep.rpc.writer import Writer

CHILD = "import os, sys; print('child prints'); os.write(1, b'child writes'); sys.stdin.read()"


async def echo(params: dict[str, Any], context: RequestContext) -> object:
    return params


async def stray(params: dict[str, Any], context: RequestContext) -> object:
    print("stray print", flush=True)
    os.write(1, b"stray write")
    await asyncio.to_thread(subprocess.run, [sys.executable, "-c", CHILD], check=True)
    return "strayed"


async def main() -> int:
    loop = asyncio.get_running_loop()
    stdin, stdout = take_stdin(), take_stdout()
    writer = Writer(stdout, queue_bytes_max=1 << 20, on_broken=lambda _: session.end(EndCause.OUTPUT_BROKEN))

    async def flood(params: dict[str, Any], context: RequestContext) -> object:
        for n in range(params["count"]):
            context.notify("test/output", {"n": n, "text": "x" * 1000}, Lane.DROPPABLE)
        return {"dropped": writer.dropped_bytes, "queued": writer.queued_bytes}

    async def initialize(params: object) -> object:
        return {"capabilities": {}}

    async def nothing() -> None:
        return None

    session = Session(
        outbound=writer,
        router=Router(
            [
                Route("test/echo", dict, echo, Admission.ALWAYS),
                Route("test/stray", dict, stray),
                Route("test/flood", dict, flood, Admission.ALWAYS),
            ]
        ),
        hooks=LifecycleHooks(initialize, nothing, nothing),
        fallback=None,
        map_error=lambda _: None,
        new_incident_id=lambda: "incident",
        limits=SessionLimits(requests_in_flight_max=256, message_bytes_max=16 << 20),
    )
    writer.start(loop)
    reader = StdinReader(stdin, receive=session.receive, end=session.receive_end)
    reader.start(loop)
    end = await session.wait_ended()
    await session.aclose(1)
    await writer.aclose(1)
    return end.exit_code


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
