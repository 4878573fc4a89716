"""
What an ACP agent tells while it works: its text, its tool calls, its plan, what it cost.

Reads session updates as they are on the wire, because published agents differ: an update may lack its status or title,
come without the one it updates, carry an empty chunk, or have a kind nobody knows; none of that is an error. Owns the
text and the usage of the turn that goes on; knows no SDK, no process and no step. Invariant: what is kept is bounded.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from typing import TYPE_CHECKING, Any, cast

from sidestep.model.usage import Usage

if TYPE_CHECKING:
    from collections.abc import Callable

_LINE_CHARS_MAX = 200
_TOOL_TITLES_MAX = 1000
_MICRO_PER_DOLLAR = 1_000_000


class AcpTurn:
    """
    The text of one turn.

    Attributes:
        too_long: Ends when the text has more bytes than are kept.
        trouble: What a callback of ours failed with, that is not the agent's to hear.
        is_told_cost: The agent told a cost while the turn went on.
        refused: What the agent was not permitted to do last; None when nothing was refused.
        writable: Files that it was permitted to change with a tool of its own, as `AgentFiles.named`, and not yet has.
    """

    def __init__(self, bytes_max: int) -> None:
        self._bytes_max = bytes_max
        self._pieces: list[str] = []
        self._bytes = 0
        self._message_id: str | None = None
        self._is_new_paragraph = False
        self.too_long: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.trouble: asyncio.Future[Exception] = asyncio.get_running_loop().create_future()
        self.is_told_cost = asyncio.Event()
        self.refused: str | None = None
        self.writable: set[str] = set()

    @property
    def text(self) -> str:
        return "".join(self._pieces)

    def add(self, text: str, message_id: str | None) -> bytes:
        """Take a piece of the report; a new message, or text after other work, begins a new paragraph."""
        if not text:
            return b""
        is_new = self._is_new_paragraph or (
            message_id is not None and self._message_id is not None and message_id != self._message_id
        )
        self._is_new_paragraph = False
        self._message_id = message_id or self._message_id
        if is_new and self._pieces and not self._pieces[-1].endswith("\n"):
            text = "\n\n" + text
        data = text.encode("utf-8", "replace")
        self._bytes += len(data)
        if self._bytes <= self._bytes_max:
            self._pieces.append(data.decode())
        elif not self.too_long.done():
            self.too_long.set_result(None)
        return data

    def pause(self) -> None:
        """The agent did something else than talk."""
        self._is_new_paragraph = True


class AcpUpdates:
    """
    The updates of one session.

    Attributes:
        session_id: The session; updates of others (agents below the agent) are not looked at.
        turn: The turn that goes on; None between turns, when text is history or comes late.

    Args:
        emit: See `AgentTask.emit`.
        told: See `AgentTask.told`.
    """

    def __init__(self, emit: Callable[[str, bytes], None], told: Callable[[str], None]) -> None:
        self._emit = emit
        self._told = told
        self.session_id: str | None = None
        self.turn: AcpTurn | None = None
        self._tool_titles: OrderedDict[str, str] = OrderedDict()
        self._last_line = ""
        # Sums of the whole session: as told last, and as given out with the turns before.
        self._cost_micro_usd = 0
        self._cost_counted_micro_usd = 0

    def take(self, params: dict[str, Any]) -> None:
        """The parameters of one `session/update`."""
        update = _object(params.get("update"))
        if update is None or self.session_id is None or params.get("sessionId") != self.session_id:
            return
        kind = update.get("sessionUpdate")
        if kind == "usage_update":
            self._take_usage(update)
        if self.turn is None:
            return
        if kind == "agent_message_chunk":
            self._take_chunk(self.turn, update)
        elif kind in ("tool_call", "tool_call_update"):
            self.turn.pause()
            self._take_tool_call(update)
        elif kind == "plan":
            self.turn.pause()
            self._take_plan(update)

    def tool_title(self, tool_call: dict[str, Any]) -> str:
        """One line on a tool call, from what is said of it now or was before; empty when that is nothing."""
        known = self._tool_titles.get(str(tool_call.get("toolCallId")), "")
        return _line(tool_call.get("title")) or known or _line(tool_call.get("kind"))

    def cost_before(self) -> None:
        """What was told until now was paid for earlier: by the turns before, or by the session that was loaded."""
        self._cost_counted_micro_usd = self._cost_micro_usd

    def cost_of_turn_micro_usd(self) -> int:
        """What the session cost since this was asked last. A late update counts for the next turn."""
        spent = max(0, self._cost_micro_usd - self._cost_counted_micro_usd)
        self._cost_counted_micro_usd = self._cost_micro_usd
        return spent

    def _take_chunk(self, turn: AcpTurn, update: dict[str, Any]) -> None:
        content = _object(update.get("content")) or {}
        text, message_id = content.get("text"), update.get("messageId")
        if isinstance(text, str):
            data = turn.add(text, message_id if isinstance(message_id, str) else None)
            if data and not turn.too_long.done():
                self._emit("agent", data)

    def _take_tool_call(self, update: dict[str, Any]) -> None:
        call_id, title = str(update.get("toolCallId")), self.tool_title(update)
        if not title:
            return
        self._tool_titles[call_id] = title
        self._tool_titles.move_to_end(call_id)
        if len(self._tool_titles) > _TOOL_TITLES_MAX:
            self._tool_titles.popitem(last=False)
        self._tell(f"{title}: failed" if update.get("status") == "failed" else title)

    def _take_plan(self, update: dict[str, Any]) -> None:
        entries = update.get("entries")
        listed = cast("list[object]", entries) if isinstance(entries, list) else []
        plan = [entry for entry in map(_object, listed) if entry is not None]
        if not plan:
            return
        done = sum(entry.get("status") == "completed" for entry in plan)
        now = next((_line(entry.get("content")) for entry in plan if entry.get("status") == "in_progress"), "")
        self._tell(f"plan: {done} of {len(plan)} done" + (f", now {now}" if now else ""))

    def _take_usage(self, update: dict[str, Any]) -> None:
        cost = _object(update.get("cost")) or {}
        amount = cost.get("amount")
        if isinstance(amount, int | float) and 0 <= amount < 1e9 and str(cost.get("currency", "USD")).upper() == "USD":
            # An agent that starts to count anew in a loaded session must not hide what it costs from then on.
            micro_usd = round(amount * _MICRO_PER_DOLLAR)
            if micro_usd < self._cost_micro_usd:
                self._cost_counted_micro_usd = 0
            self._cost_micro_usd = micro_usd
            if self.turn is not None:
                self.turn.is_told_cost.set()

    def _tell(self, line: str) -> None:
        if line != self._last_line:
            self._last_line = line
            self._told(line)


def turn_usage(input_tokens: int | None, output_tokens: int | None, cost_micro_usd: int) -> Usage | None:
    """Usage of a turn, or None when nothing of it was said."""
    usage = Usage(input_tokens or 0, output_tokens or 0, cost_micro_usd)
    return None if usage == Usage() else usage


def _line(value: object) -> str:
    """The first line of a text, bounded; empty for anything else."""
    if not isinstance(value, str) or not value.strip():
        return ""
    line = value.strip().splitlines()[0]
    return line if len(line) <= _LINE_CHARS_MAX else line[: _LINE_CHARS_MAX - 3] + "..."


def _object(value: object) -> dict[str, Any] | None:
    return cast("dict[str, Any]", value) if isinstance(value, dict) else None
