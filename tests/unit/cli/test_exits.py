"""The table of exit codes."""

from __future__ import annotations

from sidestep.cli.exits import EXIT_OF_ERROR, EXIT_OF_STATUS, Exit, exit_of_error
from sidestep.model.errors import Refused, RunNotFound, SidestepError, WorkspaceUntrusted
from sidestep.model.run import STOPPED


def leaves(kind: type[SidestepError]) -> set[type[SidestepError]]:
    below = kind.__subclasses__()
    return {kind} if not below else set().union(*map(leaves, below))


def test_every_error_has_an_exit_code_of_its_own_line() -> None:
    assert set(EXIT_OF_ERROR) == leaves(SidestepError)
    assert Refused not in EXIT_OF_ERROR


def test_every_stopped_status_has_an_exit_code() -> None:
    assert set(EXIT_OF_STATUS) == STOPPED


def test_the_codes_are_the_documented_ones() -> None:
    numbers = {exit_.name: int(exit_) for exit_ in Exit}
    assert numbers == {
        "COMPLETED": 0,
        "FAILED": 1,
        "USAGE": 2,
        "STORE": 3,
        "INTERRUPTED": 4,
        "NOT_FOUND": 5,
        "OWNED": 6,
        "UNTRUSTED": 7,
    }
    assert exit_of_error(RunNotFound("run_x")) is Exit.NOT_FOUND
    assert exit_of_error(WorkspaceUntrusted("/w")) is Exit.UNTRUSTED
