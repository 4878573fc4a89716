"""
Servers that are broken in one way each, as changes to the messages of a real one.

A fault sees every message of both sides and says what goes on. The faults themselves stand in `order_faults`,
`cancel_faults` and `other_faults`, and by name in `faults`. Knows no process.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable

Message: TypeAlias = dict[str, Any]
WAITING = ("workflow/start", "workflow/resume", "workflow/retry")


class Fault:
    """No fault: everything goes on as it is. `tell_host` and `tell_server` send messages of the fault's own."""

    # True for faults that change what the server reads; broken bytes of the host's are then lost.
    changes_input = False

    def __init__(self, tell_host: Callable[[Message | bytes], None], tell_server: Callable[[Message], None]) -> None:
        self.tell_host = tell_host
        self.tell_server = tell_server
        # Requests of the host's by id, the ids it cancelled, and those answered (for faults that keep them).
        self.asked: dict[Any, Message] = {}
        self.cancelled: set[Any] = set()
        self.answered: set[Any] = set()

    def from_host(self, message: Message) -> list[Message]:
        """What the server is told instead of this message."""
        if message.get("method") == "$/cancelRequest":
            self.cancelled.add(message["params"]["id"])
        elif "id" in message and isinstance(message["id"], int | str):
            self.asked[message["id"]] = message
        return [message]

    def from_server(self, message: Message) -> list[Message | bytes]:
        """What the host is told instead of this message."""
        return [message]

    def exit_code(self, code: int) -> int:
        """With what the process ends instead of this code."""
        return code

    def method_of(self, message: Message) -> str:
        """The method that this response answers; empty for what is none."""
        if "method" in message or message.get("id") is None:
            return ""
        return str(self.asked.get(message["id"], {}).get("method", ""))


def is_status(message: Message, status: str) -> bool:
    return message.get("method") == "workflow/statusChanged" and message["params"]["status"] == status


def is_progress_end(message: Message) -> bool:
    return message.get("method") == "$/progress" and message["params"]["value"]["kind"] == "end"
