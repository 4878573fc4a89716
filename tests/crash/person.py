"""
Whoever answers the questions of a crashed run: from the connection that conducts it, as soon as it is asked.

No two answers are alike, so what the script got tells which one was recorded.
"""

from __future__ import annotations

import contextlib
import itertools
import threading
from typing import TYPE_CHECKING, Any

from tests.support.expectations import UNMET, Expectation, Finding, met
from tests.support.raw_client import ExpectationFailed, RawClient

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tests.crash.journal_audit import Journal

    Message = dict[str, Any]

# A run asks in its time; a person whose server hangs waits no longer than its test.
PATIENCE_S = 120.0


class Person:
    """Answers over one connection until that ends."""

    def __init__(self, client: RawClient, name: str) -> None:
        self._client = client
        self._name = name
        self._numbers = itertools.count(1)
        # Request id -> (interaction id, answer).
        self._given: dict[int, tuple[str, str]] = {}

    def answer(self, interaction_id: str) -> int:
        """Give an answer, without waiting; returns the request's id. Raises: BrokenPipeError: the server is gone."""
        text = self._new_text()
        number = self._client.new_id()
        self._given[number] = (interaction_id, text)
        self._client.send(
            {"id": number, "method": "workflow/answer", "params": {"interactionId": interaction_id, "answer": text}}
        )
        return number

    def watch(self) -> None:
        """Answer from now on whatever is asked, each question twice, in both ways: the first one counts."""
        threading.Thread(target=self._watch, name="person", daemon=True).start()

    @property
    def accepted(self) -> Iterator[tuple[str, str]]:
        """(interaction id, answer) of which the server said that it is recorded."""
        for message in list(self._client.messages):
            result = message.get("result")
            if "method" in message or message.get("id") not in self._given or result is None:
                continue
            interaction_id, text = self._given[message["id"]]
            if result["accepted"]:
                assert result["recorded"] == text, f"another answer was accepted: {message}, not {text!r}"
                yield interaction_id, text

    def _watch(self) -> None:
        seen = 0
        # Until the server has said its last.
        with contextlib.suppress(ExpectationFailed, BrokenPipeError, ValueError):
            while True:
                asked = self._client.expect(_next_question(seen), within_s=PATIENCE_S)
                seen += 1
                ways = [self._reply, self._answer_asked]
                for way in ways if seen % 2 else reversed(ways):
                    way(asked)

    def _reply(self, asked: Message) -> None:
        self._client.respond(asked["id"], {"answer": self._new_text()})

    def _answer_asked(self, asked: Message) -> None:
        self.answer(asked["params"]["interactionId"])

    def _new_text(self) -> str:
        return f"answer {next(self._numbers)} of {self._name}"


class People:
    """Everybody who has answered questions of one run."""

    def __init__(self) -> None:
        self._people: list[Person] = []

    def join(self, person: Person) -> None:
        """From now on this one answers."""
        self._people.append(person)
        person.watch()

    def waiting(self, client: RawClient, run_id: str) -> list[str]:
        """The questions that wait for an answer: none that has one."""
        pending = client.result("workflow/get", {"runId": run_id})["pending"]
        waiting = [question["interactionId"] for question in pending]
        again = set(waiting) & {interaction_id for person in self._people for interaction_id, _ in person.accepted}
        assert not again, f"an answer was accepted, and the question is open: {again}"
        return waiting

    def faults(self, journals: Sequence[Journal]) -> list[str]:
        """P7: an answer that was accepted is the recorded one, from then on."""
        recorded = {one: answer for journal in journals for one, answer in journal.answers.items()}
        return [
            f"{answer!r} was accepted, and the answer to {interaction_id} is {recorded.get(interaction_id)!r}"
            for person in self._people
            for interaction_id, answer in person.accepted
            if recorded.get(interaction_id) != answer
        ]


def _next_question(seen: int) -> Expectation:
    """The question after so many that were asked on this connection."""

    def judge(messages: Sequence[Message]) -> Finding:
        asked = [message for message in messages if message.get("method") == "workflow/interact"]
        return met(asked[seen]) if len(asked) > seen else UNMET

    return Expectation("a question", judge)
