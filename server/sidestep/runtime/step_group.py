"""Steps that one `parallel` asked for together: their answers, until the script may have them."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sidestep.model.execution import Settled


class AnswersTooBig(Exception):
    """The answers of a group are more than the sandbox could hold."""


class StepGroup:
    """
    Answered once: with all answers in the order of the steps, or at the first failure that is the group's.

    Args:
        fails: For each step, whether its failure is the group's.
        chars_max: Of all answers; more than these the sandbox could not hold.

    Invariant: what it is answered with depends on the order its answers are taken in and on nothing else.
    """

    def __init__(self, fails: Sequence[bool], chars_max: int) -> None:
        self._fails = fails
        self._chars_max = chars_max
        self._answers: list[Settled | None] = [None] * len(fails)
        self._chars = 0
        self._missing = len(fails)
        self._is_over = False

    def waits_after(self, position: int, settled: Settled) -> bool:
        """Whether the script still waits once this answer is taken; also when the group was answered long ago."""
        if self._is_over:
            return True
        fits = self._chars + _chars_of(settled) <= self._chars_max
        return self._missing > 1 and fits and not self._is_its_failure(position, settled)

    def take(self, position: int, settled: Settled) -> list[Settled] | Settled | None:
        """
        Take one answer.

        Returns:
            What the group is answered with: all answers, or the failure; None while it waits, and when it was answered.

        Raises:
            AnswersTooBig: they have more characters than the sandbox could hold.
        """
        if self._is_over:
            return None
        if self._is_its_failure(position, settled):
            self._is_over = True
            return settled
        self._chars += _chars_of(settled)
        if self._chars > self._chars_max:
            raise AnswersTooBig
        self._answers[position] = settled
        self._missing -= 1
        self._is_over = self._missing == 0
        return [answer for answer in self._answers if answer is not None] if self._is_over else None

    def _is_its_failure(self, position: int, settled: Settled) -> bool:
        return settled.error is not None and self._fails[position]


def _chars_of(settled: Settled) -> int:
    return len(settled.value_json or "") if settled.error is None else len(settled.error.message)
