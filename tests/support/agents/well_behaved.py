"""An agent that does what it should, and on request what published agents do besides."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import acp
from acp.schema import AuthMethodAgent, InitializeResponse, NewSessionResponse, PromptResponse, Usage
from scripted_agent import ScriptedAgent, print_raw, print_update, run

if TYPE_CHECKING:
    import argparse


class WellBehaved(ScriptedAgent):
    description = __doc__ or ""

    def add_options(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("--version", type=int, help="the version of the protocol it speaks")
        parser.add_argument("--login", action="store_true", help="wants a login")
        parser.add_argument("--stop-reason", default="end_turn")
        parser.add_argument("--error", help="answers the prompt with this error")
        parser.add_argument("--usage", type=float, help="tells usage, with so many dollars a turn")
        parser.add_argument("--late-usage", action="store_true", help="tells the cost after its answer")
        parser.add_argument("--odd", action="store_true", help="sends the updates of published agents")
        parser.add_argument("--banner", help="prints a line before it speaks")
        parser.add_argument("--long", type=int, help="answers so many bytes")
        parser.add_argument("--read", help="reads this file through the client and answers with it")
        parser.add_argument("--write", help="writes its answer to this file through the client")
        parser.add_argument("--terminal", action="store_true", help="asks for a terminal and answers the error")

    async def initialize(self, protocol_version: int, **_: Any) -> InitializeResponse:
        greeting = await super().initialize(self.options.version or protocol_version)
        if self.options.login:
            greeting.auth_methods = [AuthMethodAgent(id="web", name="Sign in on the web")]
        return greeting

    async def new_session(self, cwd: str, **_: Any) -> NewSessionResponse:
        if self.options.login:
            raise acp.RequestError(-32000, "Authentication required")
        return await super().new_session(cwd)

    async def turn(self, session_id: str, prompt: str) -> PromptResponse:
        if self.options.error is not None:
            raise acp.RequestError(-32603, "Internal error", {"details": self.options.error})
        if self.options.odd:
            self._odd_updates(session_id)
        await self.say(session_id, await self._text(session_id, prompt))
        usage = None
        if self.options.usage is not None:
            usage = Usage(total_tokens=30, input_tokens=20, output_tokens=10)
            if self.options.late_usage:
                asyncio.get_running_loop().call_later(0.01, self._tell_cost, session_id)
            else:
                self._tell_cost(session_id)
        return PromptResponse(stop_reason=self.options.stop_reason, usage=usage)

    async def _text(self, session_id: str, prompt: str) -> str:
        try:
            if self.options.terminal:
                await self.client.create_terminal(session_id=session_id, command="true")
            if self.options.read is not None:
                return (await self.client.read_text_file(session_id=session_id, path=self.options.read)).content
            if self.options.write is not None:
                await self.client.write_text_file(
                    session_id=session_id, path=self.options.write, content=self.answer(prompt)
                )
                return "written"
        except acp.RequestError as error:
            return f"refused: {error}"
        return "x" * self.options.long if self.options.long else self.answer(prompt)

    def _tell_cost(self, session_id: str) -> None:
        cost = {"amount": self.options.usage * self.prompts, "currency": "USD"}
        print_update(session_id, {"sessionUpdate": "usage_update", "used": 1, "size": 2, "cost": cost})

    def _odd_updates(self, session_id: str) -> None:
        print_update(session_id, {"sessionUpdate": "agent_message_chunk", "content": {"type": "text", "text": ""}})
        print_update(session_id, {"sessionUpdate": "agent_thought_chunk", "content": {"type": "text", "text": "hm"}})
        print_update(
            session_id, {"sessionUpdate": "agent_message_chunk", "content": {"type": "text", "text": "First."}}
        )
        print_update(session_id, {"sessionUpdate": "tool_call", "toolCallId": "1", "title": "Read a.py"})
        print_update(session_id, {"sessionUpdate": "tool_call_update", "toolCallId": "1", "status": "failed"})
        print_update(session_id, {"sessionUpdate": "tool_call_update", "toolCallId": "unheard of"})
        print_update(session_id, {"sessionUpdate": "of_tomorrow", "anything": [1]})
        print_update("another session", {"sessionUpdate": "agent_message_chunk", "content": {"text": "not mine"}})
        plan = [{"content": "one", "status": "completed"}, {"content": "two", "status": "in_progress"}, "odd"]
        print_update(session_id, {"sessionUpdate": "plan", "entries": plan})
        print_raw(b'{"jsonrpc":"2.0","method":"$/cancel_request","params":{"requestId":77}}\n')
        print_raw(b'{"jsonrpc":"2.0","method":"unknown/notification"}\n\n')


if __name__ == "__main__":
    agent = WellBehaved()
    if agent.options.banner:
        print_raw(agent.options.banner.encode() + b"\n")
    run(agent)
