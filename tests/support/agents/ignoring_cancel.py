"""An agent that works on for ever: it ignores `session/cancel`, the end of its input, and SIGTERM."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING, Any

from scripted_agent import ScriptedAgent, run

if TYPE_CHECKING:
    from acp.schema import PromptResponse


class IgnoringCancel(ScriptedAgent):
    description = __doc__ or ""

    async def turn(self, session_id: str, prompt: str) -> PromptResponse:
        await self.say(session_id, "working")
        return await self.hang_for_ever()

    async def cancel(self, session_id: str, **_: Any) -> None:
        await self.say(session_id, "no")


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    agent = IgnoringCancel()
    run(agent)
    # The input has ended.
    while True:
        signal.pause()
