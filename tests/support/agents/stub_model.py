"""
A model that costs nothing: the chat completions endpoint of the usual kind, on loopback, with answers from a list.

A request without tools (titles, summaries) gets a short text and takes no answer off the list.
"""

from __future__ import annotations

import json
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass(frozen=True)
class ToolUse:
    """An answer that is a call of one of the agent's own tools."""

    name: str
    arguments: dict[str, Any]


@dataclass
class StubModel:
    """
    Use as a context manager.

    Attributes:
        answers: What it answers, in order; when none is left, "done".
        asked: The bodies of all requests, in order.
        held: Answers wait until this is set; None for at once.
        was_asked: Set when an answer was asked for.
    """

    answers: list[str | ToolUse]
    asked: list[dict[str, Any]] = field(default_factory=list)
    held: threading.Event | None = None
    was_asked: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> StubModel:
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self.held is not None:
            self.held.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def url(self) -> str:
        """The base of the interface, as agents are configured with it."""
        return f"http://127.0.0.1:{self._server.server_address[1]}/v1"

    def next_answer(self, body: dict[str, Any]) -> str | ToolUse:
        self.asked.append(body)
        if not body.get("tools"):
            return "A title"
        answer = self.answers.pop(0) if self.answers else "done"
        self.was_asked.set()
        if self.held is not None:
            self.held.wait()
        return answer


def _handler(model: StubModel) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            events = _events(model.next_answer(body))
            try:
                self.send_response(200)
                self.send_header("Content-Type", "text/event-stream")
                self.end_headers()
                for event in [*map(json.dumps, events), "[DONE]"]:
                    self.wfile.write(f"data: {event}\n\n".encode())
            except ConnectionError:
                # The agent was ended meanwhile.
                return

        def do_GET(self) -> None:
            self.send_error(404)

        def log_message(self, format: str, *args: Any) -> None:
            """Nothing."""

    return Handler


def _events(answer: str | ToolUse) -> list[dict[str, Any]]:
    if isinstance(answer, ToolUse):
        function = {"name": answer.name, "arguments": json.dumps(answer.arguments)}
        call = {"index": 0, "id": "call_1", "type": "function", "function": function}
        deltas: list[dict[str, Any]] = [{"role": "assistant", "tool_calls": [call]}]
        reason = "tool_calls"
    else:
        deltas = [{"role": "assistant", "content": answer[:5]}, {"content": answer[5:]}]
        reason = "stop"
    usage = {"prompt_tokens": 20, "completion_tokens": 10, "total_tokens": 30}
    choices = [{"index": 0, "delta": delta, "finish_reason": None} for delta in deltas]
    choices.append({"index": 0, "delta": {}, "finish_reason": reason})
    head = {"id": "stub", "object": "chat.completion.chunk", "created": 0, "model": "stub"}
    return [{**head, "choices": [choice]} for choice in choices] + [{**head, "choices": [], "usage": usage}]
