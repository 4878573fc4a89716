"""An agent that dies: at its start, in a turn, or when it is asked to stop."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any

from scripted_agent import ScriptedAgent, run

if TYPE_CHECKING:
    import argparse

    from acp.schema import PromptResponse


class Crashing(ScriptedAgent):
    description = __doc__ or ""

    def add_options(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("--at", choices=["start", "prompt", "cancel"], default="prompt")
        parser.add_argument("--code", type=int, default=3)
        parser.add_argument("--once", help="a file: it dies when the file is not there, and makes it")

    def crash(self) -> None:
        if self.options.once is not None:
            if os.path.exists(self.options.once):
                return
            open(self.options.once, "w").close()
        print("the agent's last words", file=sys.stderr, flush=True)
        os._exit(self.options.code)

    async def turn(self, session_id: str, prompt: str) -> PromptResponse:
        await self.say(session_id, "working")
        if self.options.at == "prompt":
            self.crash()
        if self.options.at == "cancel":
            await self.hang_for_ever()
        return await super().turn(session_id, prompt)

    async def cancel(self, session_id: str, **_: Any) -> None:
        self.crash()


if __name__ == "__main__":
    agent = Crashing()
    if agent.options.at == "start":
        agent.crash()
    run(agent)
