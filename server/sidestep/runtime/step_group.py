"""Steps that one `parallel` asked for together: their answers, until the script may have them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sidestep.runtime.bridge import write_answer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sidestep.model.execution import Settled


class AnswersTooBig(Exception):
    """The answers of a group have more bytes than the sandbox could hold."""


class StepGroup:
    """
    Answered once: with all answers in the order of the steps, or at the first failure that is the group's.

    Args:
        fails: For each step, whether its failure is the group's.
        bytes_max: More than these the sandbox could not hold.

    Invariant: what it is answered with depends on the order its answers are taken in and on nothing else.
    """

    def __init__(self, fails: Sequence[bool], bytes_max: int) -> None:
        self._fails = fails
        self._bytes_max = bytes_max
        self._answers: list[str] = [""] * len(fails)
        self._bytes = 0
        self._missing = len(fails)
        self._is_over = False

    def waits_after(self, position: int, settled: Settled) -> bool:
        """Whether the script still waits once this answer is taken; also when the group was answered long ago."""
        if self._is_over:
            return True
        is_failure = settled.error is not None and self._fails[position]
        grown = self._bytes + len(settled.value_json or "")
        return self._missing > 1 and not is_failure and grown <= self._bytes_max

    def take(self, position: int, settled: Settled) -> list[str] | str | None:
        """
        Take one answer.

        Returns:
            What the group is answered with: all answers, or the failure; None while it waits, and when it was answered.

        Raises:
            AnswersTooBig: they have more bytes than the sandbox could hold.
        """
        if self._is_over:
            return None
        answer = write_answer(settled)
        if settled.error is not None and self._fails[position]:
            self._is_over = True
            return answer
        self._bytes += len(answer)
        if self._bytes > self._bytes_max:
            raise AnswersTooBig
        self._answers[position] = answer
        self._missing -= 1
        self._is_over = self._missing == 0
        return self._answers if self._is_over else None
