"""An agent that asks before it works. Its ids of options are its own; what counts is their kind."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from acp.schema import PermissionOption, PromptResponse, ToolCallUpdate
from scripted_agent import ScriptedAgent, print_raw, run

if TYPE_CHECKING:
    import argparse

OPTIONS = [
    PermissionOption(option_id="7-yes", name="Yes", kind="allow_once"),
    PermissionOption(option_id="7-always", name="Always", kind="allow_always"),
    PermissionOption(option_id="7-no", name="No", kind="reject_once"),
]


class AskingPermission(ScriptedAgent):
    description = __doc__ or ""

    def add_options(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("--no-refusal", action="store_true", help="offers no option to refuse with")
        parser.add_argument("--gives-up", action="store_true", help="ends its turn as cancelled when refused")
        parser.add_argument("--withdraws", action="store_true", help="withdraws its request at once")

    async def turn(self, session_id: str, prompt: str) -> PromptResponse:
        options = [option for option in OPTIONS if option.kind != "reject_once" or not self.options.no_refusal]
        call = ToolCallUpdate(tool_call_id="1", title="rm -rf build", kind="execute", raw_input={"command": "rm"})
        asking = asyncio.ensure_future(
            self.client.request_permission(session_id=session_id, tool_call=call, options=options)
        )
        if self.options.withdraws:
            await asyncio.wait([asking], timeout=0.2)
            # The first request of this agent.
            print_raw(b'{"jsonrpc":"2.0","method":"$/cancel_request","params":{"requestId":0}}\n')
        outcome = (await asking).outcome
        chosen = outcome.option_id if outcome.outcome == "selected" else "nothing"
        if chosen in ("7-yes", "7-always"):
            return await super().turn(session_id, prompt)
        if self.cancelled.is_set() or self.options.gives_up:
            return PromptResponse(stop_reason="cancelled")
        await self.say(session_id, f"not permitted: {chosen}")
        return PromptResponse(stop_reason="end_turn")


if __name__ == "__main__":
    run(AskingPermission())
