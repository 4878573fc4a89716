"""The floor of a server with an event loop: each read wakes asyncio, which gives the bytes back."""

from __future__ import annotations

import asyncio
import os


async def main() -> None:
    loop = asyncio.get_running_loop()
    ended = loop.create_future()

    def echo() -> None:
        data = os.read(0, 65536)
        if data:
            os.write(1, data)
        elif not ended.done():
            ended.set_result(None)

    loop.add_reader(0, echo)
    await ended


asyncio.run(main())
