"""
The common part of the agents of the tests: programs of their own on the SDK's agent side, told by arguments what to do.

Every prompt appends a JSON line `{"pid", "session", "prompt", "rule"}` to the file named by `SIDESTEP_AGENT_CALLS`:
tests count calls by it. `SIDESTEP_AGENT_LIFE` names a pipe that the agent, and a child with `--child`, hold while they
live. Answers of a story are told with `--answers FILE`: a JSON list of rules `{"when": part of the prompt, "answers":
[{"text": ..., "write": {path: text}}]}`; the first rule that fits answers, its n-th prompt with the n-th answer (the
last one again after that), counted over all processes that share the file of calls.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import acp
from acp.schema import AgentCapabilities, InitializeResponse, LoadSessionResponse, NewSessionResponse, PromptResponse


class ScriptedAgent:
    """An agent that answers each prompt with a text. The others override `turn`, or more."""

    description = "Answers each prompt with a text."

    def __init__(self) -> None:
        parser = argparse.ArgumentParser(description=self.description)
        parser.add_argument("--answer", help="what it answers; else it repeats the prompt")
        parser.add_argument("--answers", type=Path, help="file of rules")
        parser.add_argument("--sessions", type=Path, help="file of sessions it can load; without, it offers none")
        parser.add_argument("--child", action="store_true", help="start a child that lives on")
        self.add_options(parser)
        self.options = parser.parse_args()
        self.client: Any = None
        self.cancelled = asyncio.Event()
        self.prompts = 0
        self._life = self._open_life()
        if self.options.child:
            command = "trap '' TERM; while :; do sleep 1000; done"
            subprocess.Popen(["sh", "-c", command], pass_fds=() if self._life is None else (self._life,))

    def add_options(self, parser: argparse.ArgumentParser) -> None:
        """What an agent takes besides."""

    async def turn(self, session_id: str, prompt: str) -> PromptResponse:
        await self.say(session_id, self.answer(prompt))
        return PromptResponse(stop_reason="end_turn")

    # The SDK's agent side.

    def on_connect(self, client: Any) -> None:
        self.client = client

    async def initialize(self, protocol_version: int, **_: Any) -> InitializeResponse:
        return InitializeResponse(
            protocol_version=protocol_version,
            agent_capabilities=AgentCapabilities(load_session=self.options.sessions is not None),
        )

    async def new_session(self, cwd: str, **_: Any) -> NewSessionResponse:
        session_id = f"session-{os.getpid()}"
        if self.options.sessions is not None:
            _append(self.options.sessions, session_id)
        return NewSessionResponse(session_id=session_id)

    async def load_session(self, session_id: str, **_: Any) -> LoadSessionResponse:
        if session_id not in self.options.sessions.read_text().splitlines():
            raise acp.RequestError(-32603, "no such session", {"sessionId": session_id})
        await self.say(session_id, "what was said before")
        return LoadSessionResponse()

    async def prompt(self, session_id: str, prompt: list[Any], **_: Any) -> PromptResponse:
        self.cancelled.clear()
        self.prompts += 1
        text = "".join(block.text for block in prompt)
        self._note(session_id, text)
        return await self.turn(session_id, text)

    async def cancel(self, session_id: str, **_: Any) -> None:
        self.cancelled.set()

    # For the agents.

    async def say(self, session_id: str, text: str) -> None:
        await self.client.session_update(session_id=session_id, update=acp.update_agent_message_text(text))

    def answer(self, prompt: str) -> str:
        """The text of the rules, of `--answer`, or the prompt; writes the files of the answer."""
        index, rule = self._rule(prompt)
        if rule is None:
            return self.options.answer if self.options.answer is not None else f"You said: {prompt}"
        # This prompt stands in the file already.
        earlier = sum(call["rule"] == index for call in _calls()) - 1
        answer = rule["answers"][min(max(earlier, 0), len(rule["answers"]) - 1)]
        for path, text in answer.get("write", {}).items():
            Path(path).write_text(text)
        return answer["text"] if isinstance(answer["text"], str) else json.dumps(answer["text"])

    def hang_for_ever(self) -> Any:
        return asyncio.get_running_loop().create_future()

    def _rule(self, prompt: str) -> tuple[int | None, dict[str, Any] | None]:
        rules = [] if self.options.answers is None else json.loads(self.options.answers.read_text())
        return next(((index, rule) for index, rule in enumerate(rules) if rule["when"] in prompt), (None, None))

    def _note(self, session_id: str, text: str) -> None:
        if "SIDESTEP_AGENT_CALLS" in os.environ:
            call = {"pid": os.getpid(), "session": session_id, "prompt": text, "rule": self._rule(text)[0]}
            _append(Path(os.environ["SIDESTEP_AGENT_CALLS"]), json.dumps(call))

    def _open_life(self) -> int | None:
        path = os.environ.get("SIDESTEP_AGENT_LIFE")
        return None if path is None else os.open(path, os.O_WRONLY)


def print_raw(data: bytes) -> None:
    """Write on standard output what the SDK would not."""
    while data:
        try:
            data = data[os.write(1, data) :]
        except BlockingIOError:
            continue


def print_update(session_id: str, update: dict[str, Any]) -> None:
    """A session update the SDK's models do not know."""
    params = {"sessionId": session_id, "update": update}
    print_raw(json.dumps({"jsonrpc": "2.0", "method": "session/update", "params": params}).encode() + b"\n")


def run(agent: ScriptedAgent) -> None:
    """Serve the agent on standard input and output until the input ends."""
    asyncio.run(acp.run_agent(agent))


def _calls() -> list[dict[str, Any]]:
    path = os.environ.get("SIDESTEP_AGENT_CALLS")
    return [] if path is None else [json.loads(line) for line in Path(path).read_text().splitlines()]


def _append(path: Path, line: str) -> None:
    with path.open("a") as file:
        file.write(line + "\n")


if __name__ == "__main__":
    sys.exit("run one of the agents beside this file")
