"""An agent that prints what is no message of the protocol, or answers what was not asked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from scripted_agent import ScriptedAgent, print_raw, run

if TYPE_CHECKING:
    import argparse

    from acp.schema import InitializeResponse, PromptResponse

KINDS = {
    "text": b"Traceback (most recent call last):\n",
    "binary": b"\x00\x01\xff\xfe\n",
    "half": b'{"jsonrpc": "2.0", "id"\n',
    "list": b"[]\n",
    "deep": b"[" * 100_000 + b"\n",
    "nothing": b"{}\n",
    "result": b'{"jsonrpc":"2.0","id":%d,"result":"banana"}\n',
    "error": b'{"jsonrpc":"2.0","id":%d,"error":"banana"}\n',
    "reason": b'{"jsonrpc":"2.0","id":%d,"result":{"stopReason":"bored"}}\n',
}


class Garbage(ScriptedAgent):
    description = __doc__ or ""

    def add_options(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("--at", choices=["initialize", "prompt"], default="prompt")
        parser.add_argument("--kind", choices=sorted(KINDS), default="text")

    async def initialize(self, protocol_version: int, **_: Any) -> InitializeResponse:
        if self.options.at == "initialize":
            await self.print(0)
        return await super().initialize(protocol_version)

    async def turn(self, session_id: str, prompt: str) -> PromptResponse:
        # The client's requests: initialize, session/new, prompt.
        await self.print(2)
        return await super().turn(session_id, prompt)

    async def print(self, request_id: int) -> None:
        data = KINDS[self.options.kind]
        print_raw(data % request_id if b"%d" in data else data)
        await self.hang_for_ever()


if __name__ == "__main__":
    run(Garbage())
