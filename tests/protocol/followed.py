"""Following a run by its cursor as a host does, over any number of subscriptions: each time no gap, no duplicate."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.support.raw_client import message_where, response_to

if TYPE_CHECKING:
    from tests.support.expectations import Message
    from tests.support.raw_client import RawClient


class Followed:
    """One run on one connection."""

    def __init__(self, client: RawClient, run_id: str) -> None:
        self.client = client
        self.run_id = run_id
        # (request, cursor) of each subscription, in order.
        self._asked: list[tuple[int, int]] = []

    def ask(self, after: int) -> int:
        """Send the request; its answer is looked at in the end."""
        number = self.client.request("workflow/subscribe", {"runId": self.run_id, "afterSequence": after})
        self._asked.append((number, after))
        return number

    def subscribe(self, after: int) -> dict[str, Any]:
        answer = self.client.expect(response_to(self.ask(after)))
        assert "result" in answer, answer
        return dict(answer["result"])

    @property
    def last(self) -> int:
        """The cursor of a host that was told everything in `messages`."""
        return max((got[-1] for got in self.parts() if got), default=0)

    def parts(self) -> list[list[int]]:
        """The sequences of each answered subscription: those in its answer, then what came until the next one's."""
        messages = list(self.client.messages)
        places = {m["id"]: place for place, m in enumerate(messages) if "method" not in m}
        begins = [(places[number], after) for number, after in self._asked if number in places]
        ends = [place for place, _ in begins[1:]] + [len(messages)]
        found: list[list[int]] = []
        for (begin, after), end in zip(begins, ends, strict=True):
            result = messages[begin]["result"]
            got = [event["sequence"] for event in result["events"]]
            assert result["liveFromSequence"] == (got[-1] if got else after) + 1
            for message in messages[begin + 1 : end]:
                if self._is_batch(message):
                    got += [event["sequence"] for event in message["params"]["events"]]
            # No gap, no duplicate, whatever the cursor was.
            assert got == list(range(after + 1, after + 1 + len(got))), (after, got)
            found.append(got)
        return found

    def until(self, sequence: int, within_s: float = 50) -> list[list[int]]:
        """Wait until the newest subscription has brought this event; returns `parts`."""
        number, after = self._asked[-1]
        if after < sequence:
            reached = message_where(lambda m: self._has(m, sequence), f"event {sequence}")
            begin = next(
                place for place, m in enumerate(self.client.messages) if "method" not in m and m["id"] == number
            )
            self.client.expect(reached, since=begin, within_s=within_s)
        return self.parts()

    def _is_batch(self, message: Message) -> bool:
        return message.get("method") == "workflow/eventsAppended" and message["params"]["runId"] == self.run_id

    def _has(self, message: Message, sequence: int) -> bool:
        if self._is_batch(message):
            return bool(message["params"]["events"][-1]["sequence"] >= sequence)
        events = message["result"].get("events", []) if isinstance(message.get("result"), dict) else []
        return bool(events) and events[-1]["sequence"] >= sequence
