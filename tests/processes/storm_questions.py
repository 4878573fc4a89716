"""
The questions of a storm, and the answers: any number of people in any windows answer the same question.

What is open is known from the windows, which ask (`workflow/interact`) and tell when it is over; an answer is given to
any of them, as a reply to its request or by `workflow/answer`. No two answers are alike.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

from tests.processes.storm_plan import Given

if TYPE_CHECKING:
    import random
    from collections.abc import Sequence

    from tests.processes.window import Window

    Message = dict[str, Any]

# Of all answers, so many are replies to a window's own request; and so many come after the question was resolved.
REPLIES = 0.3
LATE = 0.1


class Questions:
    """
    What is asked, and what was answered.

    Attributes:
        given: Every answer by `workflow/answer` that was replied to.
        faults: Replies that are no reply to an answer.
    """

    def __init__(self, choice: random.Random) -> None:
        self.given: list[Given] = []
        self.faults: list[str] = []
        self._choice = choice
        # Interaction id -> the windows' requests for it.
        self._open: dict[str, list[tuple[Window, Message]]] = {}
        self._resolved: list[str] = []
        # (window, request id) -> (interaction id, answer).
        self._asked: dict[tuple[int, int], tuple[str, str]] = {}
        self._texts = 0

    @property
    def are_open(self) -> bool:
        return bool(self._open)

    def answer_one(self, windows: Sequence[Window]) -> None:
        """Answer a question in one of these windows, seldom one that was answered before."""
        if self._resolved and self._choice.random() < LATE:
            self._answer(self._choice.choice(windows), self._choice.choice(self._resolved))
            return
        interaction_id = self._choice.choice(list(self._open))
        requests = [(window, asked) for window, asked in self._open[interaction_id] if window in windows]
        if requests and self._choice.random() < REPLIES:
            window, asked = self._choice.choice(requests)
            with contextlib.suppress(BrokenPipeError):
                window.client.respond(asked["id"], {"answer": self._new_text()})
        else:
            self._answer(self._choice.choice(windows), interaction_id)

    def answer_all(self, windows: Sequence[Window]) -> None:
        """Answer whatever is open, some of it twice at once."""
        for interaction_id in list(self._open):
            for window in self._choice.sample(windows, min(len(windows), self._choice.randint(1, 2))):
                self._answer(window, interaction_id)

    def hear(self, window: Window, message: Message) -> bool:
        """Take a message that is about questions; False when it is none."""
        params = message.get("params", {})
        match message.get("method"):
            case "workflow/interact":
                self._open.setdefault(params["interactionId"], []).append((window, message))
                return True
            case "workflow/interactionResolved":
                if self._open.pop(params["interactionId"], None) is not None:
                    self._resolved.append(params["interactionId"])
                return True
            case None if (id(window), message["id"]) in self._asked:
                window.asked.pop(message["id"], None)
                self._hear_reply(*self._asked.pop((id(window), message["id"])), message)
                return True
        return False

    def _answer(self, window: Window, interaction_id: str) -> None:
        text = self._new_text()
        params = {"interactionId": interaction_id, "answer": text}
        number = window.ask("workflow/answer", params, interaction_id)
        self._asked[id(window), number] = (interaction_id, text)

    def _hear_reply(self, interaction_id: str, text: str, reply: Message) -> None:
        result = reply.get("result")
        if result is not None:
            self.given.append(Given(interaction_id, text, result["accepted"], result["recorded"]))
            return
        data = reply["error"].get("data", {})
        if data.get("reason") == "interactionNotPending":
            self.given.append(Given(interaction_id, text, None, data.get("recorded")))
            self._open.pop(interaction_id, None)
        elif data.get("reason") != "storeUnavailable":
            self.faults.append(f"the answer {text!r} to {interaction_id}: {reply['error']}")

    def _new_text(self) -> str:
        self._texts += 1
        return f"answer {self._texts}"
