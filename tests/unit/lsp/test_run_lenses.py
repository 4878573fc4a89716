"""The pace of `workspace/codeLens/refresh`: now, then at most once in a while, never while one is unanswered."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sidestep.lsp.run_lenses import LensRefresh

if TYPE_CHECKING:
    from collections.abc import Callable


class Clock:
    """A refresh, the requests it made, and the timer it set."""

    def __init__(self) -> None:
        self.asked: list[Callable[[], None]] = []
        self.due: Callable[[], None] | None = None
        self.refresh = LensRefresh(self.asked.append, self._call_later, least_s=1.0)

    def _call_later(self, delay_s: float, due: Callable[[], None]) -> Clock:
        assert delay_s == 1.0
        assert self.due is None, "one timer at a time"
        self.due = due
        return self

    def cancel(self) -> None:
        self.due = None

    def a_second_passes(self) -> None:
        due, self.due = self.due, None
        if due is not None:
            due()


def test_news_is_told_at_once_and_what_follows_together_after_a_second() -> None:
    clock = Clock()
    clock.refresh.changed()
    clock.asked[0]()
    clock.refresh.changed()
    clock.refresh.changed()
    assert len(clock.asked) == 1
    clock.a_second_passes()
    assert len(clock.asked) == 2


def test_without_news_nothing_is_asked() -> None:
    clock = Clock()
    clock.refresh.changed()
    clock.asked[0]()
    clock.a_second_passes()
    assert len(clock.asked) == 1


def test_no_second_is_asked_while_one_is_unanswered() -> None:
    clock = Clock()
    clock.refresh.changed()
    clock.a_second_passes()
    clock.refresh.changed()
    clock.a_second_passes()
    assert len(clock.asked) == 1
    clock.asked[0]()
    assert len(clock.asked) == 2


def test_an_answer_within_the_second_waits_for_its_end() -> None:
    clock = Clock()
    clock.refresh.changed()
    clock.refresh.changed()
    clock.asked[0]()
    assert len(clock.asked) == 1
    clock.a_second_passes()
    assert len(clock.asked) == 2


def test_nothing_is_asked_after_the_end() -> None:
    clock = Clock()
    clock.refresh.changed()
    clock.refresh.changed()
    clock.refresh.close()
    assert clock.due is None
    # As the end of the connection does.
    clock.asked[0]()
    assert len(clock.asked) == 1
