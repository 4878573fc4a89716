"""An agent that begins to answer and then works for as long as it takes; it stops when it is asked to."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from acp.schema import PromptResponse
from scripted_agent import ScriptedAgent, run

if TYPE_CHECKING:
    import argparse


class Slow(ScriptedAgent):
    description = __doc__ or ""

    def add_options(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("--seconds", type=float, help="how long a turn takes; else until it is cancelled")
        parser.add_argument("--slow-prompts", type=int, default=1, help="how many prompts are slow, of each process")

    async def turn(self, session_id: str, prompt: str) -> PromptResponse:
        if self.prompts > self.options.slow_prompts:
            return await super().turn(session_id, prompt)
        await self.say(session_id, "working")
        try:
            async with asyncio.timeout(self.options.seconds):
                await self.cancelled.wait()
        except TimeoutError:
            return await super().turn(session_id, prompt)
        await self.say(session_id, "stopped")
        return PromptResponse(stop_reason="cancelled")


if __name__ == "__main__":
    run(Slow())
