"""What people do about questions, as rules of the simulation (`machine.py`)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

if TYPE_CHECKING:
    from tests.sim.world import World

# How many turns of the event loop pass before the next rule; None: until the world is at rest.
TURNS = st.sampled_from((None, None, None, 0, 1, 2, 3, 5, 8, 13))
WHICH = st.integers(0, 5)
# What would end most examples early.
SELDOM = st.sampled_from((False, False, False, True))

# The workflows that ask, and when the question of one of them is withdrawn.
_ASKING = ("asking", "panel", "survey")
_EXPIRES_S = 3.0


class QuestionRules:
    """A part of `Simulation`, which has what is declared here."""

    world: World
    window: Any
    act: Any
    has_window: Any
    has_store: Any

    @precondition(lambda self: self.has_window() and bool(self.world.archive.questions.known))
    @rule(window=WHICH, which=WHICH, again=st.sampled_from((None, None, 0, 1)), closed=SELDOM, turns=TURNS)
    def answer(self, window: int, which: int, again: int | None, closed: bool, turns: int | None) -> None:
        """Somebody answers a question; with `again` somebody else at the same time, perhaps in another window."""
        questions = self.world.archive.questions
        asked = (list(questions.known.values()) if closed else questions.open)[::-1]
        if not asked:
            return
        question = asked[which % len(asked)]
        where = [self.window(window), *([] if again is None else [self.window(window + again)])]
        self.act(lambda: [self.world.answer(each, question) for each in where], turns)

    @precondition(lambda self: self.has_window() and self.has_store() and len(self.world.roots) < 5)
    @rule(
        window=WHICH,
        name=st.sampled_from(_ASKING),
        stops=st.booleans(),
        answers=st.integers(0, 3),
        goes_on=st.booleans(),
        expires=st.booleans(),
        turns=TURNS,
    )
    def ask(
        self, window: int, name: str, stops: bool, answers: int, goes_on: bool, expires: bool, turns: int | None
    ) -> None:
        """
        A run asks; perhaps it is stopped, some answer at once, and others resume it, or the time for an answer ends.
        """
        world = self.world
        self.act(lambda: world.start(self.window(window), name), None)
        asked = world.archive.questions.open
        if not asked:
            return
        question = asked[-1]
        if stops:
            self.act(lambda: world.interrupt(self.window(window + 1), question.root_run_id), turns)
        self.act(lambda: [world.answer(self.window(window + n), question) for n in range(answers)], turns)
        if expires:
            self.act(lambda: world.clock.advance(_EXPIRES_S), turns)
        if goes_on:
            self.act(lambda: world.resume(self.window(window + 1), question.root_run_id), turns)
