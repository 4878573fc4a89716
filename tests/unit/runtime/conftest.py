"""What the sandbox's tests share as fixtures."""

from __future__ import annotations

import pytest

from sidestep.runtime.sandbox import MontySandbox


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
