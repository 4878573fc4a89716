"""What the sandbox's tests share as fixtures."""

from __future__ import annotations

import pytest

from sidestep.runtime.sandbox import MontySandbox
from tests.unit.runtime.worker_processes import Prelude


@pytest.fixture
def turns(monkeypatch: pytest.MonkeyPatch) -> list[None]:
    """Grows with every turn that is given to a thread."""
    taken: list[None] = []
    in_turn_thread = MontySandbox.in_turn_thread

    def counting(made, work):
        taken.append(None)
        return in_turn_thread(made, work)

    monkeypatch.setattr(MontySandbox, "in_turn_thread", counting)
    return taken


@pytest.fixture
def prelude(monkeypatch: pytest.MonkeyPatch) -> Prelude:
    """Knows the workers that were given the prelude."""
    return Prelude(monkeypatch)
