"""An agent that does not answer: from the start, to a request for a session, or to a prompt."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from scripted_agent import ScriptedAgent, run

if TYPE_CHECKING:
    import argparse

    from acp.schema import InitializeResponse, NewSessionResponse, PromptResponse


class Silent(ScriptedAgent):
    description = __doc__ or ""

    def add_options(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("--at", choices=["initialize", "session", "prompt"], default="initialize")

    async def initialize(self, protocol_version: int, **_: Any) -> InitializeResponse:
        if self.options.at == "initialize":
            await self.hang_for_ever()
        return await super().initialize(protocol_version)

    async def new_session(self, cwd: str, **_: Any) -> NewSessionResponse:
        if self.options.at == "session":
            await self.hang_for_ever()
        return await super().new_session(cwd)

    async def turn(self, session_id: str, prompt: str) -> PromptResponse:
        print("prompted", file=sys.stderr, flush=True)
        return await self.hang_for_ever()


if __name__ == "__main__":
    run(Silent())
