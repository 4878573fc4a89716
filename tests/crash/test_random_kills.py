"""C1, promise 2: the real `sidestep serve`, killed at moments that a seed chose, loses and repeats no finished step."""

from __future__ import annotations

import random
import threading
import time
from typing import TYPE_CHECKING

import pytest

from tests.crash.crash_workflow import ASKING
from tests.crash.seeds import fresh_seed, short_seed
from tests.crash.sweep import Ground, Tally

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.crash.sweep import Reference

    Tell = Callable[[str], None]

SHORT_KILLS = 10
LONG_KILLS = 200
# So many of them on the way to the first request.
YOUNG = 0.15


@pytest.mark.slow
def test_c1_killed_at_ten_moments_no_step_is_lost_or_repeated(tmp_path: Path, reference: Reference, tell: Tell) -> None:
    tell(_kill_at_random(SHORT_KILLS, short_seed(), tmp_path, reference))


@pytest.mark.soak
def test_c1_killed_at_two_hundred_moments_no_step_is_lost_or_repeated(
    tmp_path: Path, reference: Reference, tell: Tell
) -> None:
    tell(_kill_at_random(LONG_KILLS, fresh_seed(), tmp_path, reference))


def _kill_at_random(kills: int, seed: int, folder: Path, reference: Reference) -> str:
    try:
        tally = _Killing(random.Random(seed), folder, reference).until(kills)
    except BaseException as error:
        error.add_note(f"seed {seed}")
        raise
    return f"seed {seed}: {tally}"


class _Killing:
    """Runs one after another, each killed again and again until it is over all the same."""

    def __init__(self, choice: random.Random, folder: Path, reference: Reference) -> None:
        self._choice = choice
        self._folder = folder
        self._reference = reference
        self._tally = Tally()
        self._ground = self._new_ground()
        began = time.monotonic()
        self._finish(self._ground.survive())
        # From the birth of a server to the end of a run, on this machine and under its load: about half of it is birth.
        self._span_s = time.monotonic() - began

    def until(self, kills: int) -> Tally:
        while self._tally.deaths < kills:
            self._one_server()
        self._finish(self._ground.survive())
        return self._tally

    def _one_server(self) -> None:
        with self._ground.serve() as client:
            killer = threading.Timer(self._choice.random() * self._span_s / 2, client.process.kill)
            # Some die while they open the store and recover; most when they are asked to go on.
            if dies_young := self._choice.random() < YOUNG:
                killer.start()
            try:
                outcome = self._ground.conduct(client, ready=bool if dies_young else killer.start)
            finally:
                killer.cancel()
            # One that was done before its moment came is killed now, after the answer.
            client.kill()
            if outcome is None:
                self._tally.deaths += 1
                self._ground.check_death(client)
        if outcome is not None:
            self._finish(outcome)

    def _finish(self, outcome: dict[str, object]) -> None:
        self._tally.repeats += self._ground.check_end(outcome, self._reference)
        self._tally.answers += len(ASKING)
        self._ground = self._new_ground()

    def _new_ground(self) -> Ground:
        self._tally.runs += 1
        return Ground(self._folder / f"run-{self._tally.runs}")
