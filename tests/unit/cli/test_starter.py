"""The text of a new workflow."""

from __future__ import annotations

from sidestep.cli.starter import starter_text
from sidestep.scripts.check import check_with_signature


def test_the_starter_passes_the_check_without_a_word() -> None:
    signature, problems = check_with_signature(starter_text(), "starter.py")
    assert problems == []
    assert signature is not None
    assert [(p.name, p.is_required, bool(p.description)) for p in signature.parameters] == [
        ("folder", False, True),
        ("limit", False, True),
    ]
