"""The exit codes of every command but `serve`: one table, read by `edge.py` and by whoever prints an outcome."""

from __future__ import annotations

import enum

from sidestep.model import errors
from sidestep.model.run import RunStatus


class Exit(enum.IntEnum):
    """What the shell is told."""

    COMPLETED = 0  # The run completed, or the command did what it was asked.
    FAILED = 1  # The run failed, or Sidestep itself did.
    USAGE = 2  # The words, the script or the arguments cannot be used.
    STORE = 3  # The store cannot be read or written.
    INTERRUPTED = 4  # The run was interrupted; it can be continued.
    NOT_FOUND = 5  # No such run, script or open question.
    OWNED = 6  # Another process has the run.
    UNTRUSTED = 7  # The folder is not trusted.


EXIT_OF_STATUS: dict[RunStatus, Exit] = {
    RunStatus.COMPLETED: Exit.COMPLETED,
    RunStatus.FAILED: Exit.FAILED,
    RunStatus.INTERRUPTED: Exit.INTERRUPTED,
}

# Every class that can be raised stands here itself; a test looks.
EXIT_OF_ERROR: dict[type[errors.SidestepError], Exit] = {
    errors.WorkspaceUntrusted: Exit.UNTRUSTED,
    errors.WorkspaceInvalid: Exit.USAGE,
    errors.ScriptNotFound: Exit.NOT_FOUND,
    errors.ScriptInvalid: Exit.USAGE,
    errors.ArgsInvalid: Exit.USAGE,
    errors.StartKeyConflict: Exit.USAGE,
    errors.Overloaded: Exit.FAILED,
    errors.Draining: Exit.INTERRUPTED,
    errors.CursorInvalid: Exit.USAGE,
    errors.RunNotFound: Exit.NOT_FOUND,
    errors.InvalidTransition: Exit.USAGE,
    errors.RunLeased: Exit.OWNED,
    errors.LeaseLost: Exit.OWNED,
    errors.ClaimSuperseded: Exit.OWNED,
    errors.StepConflict: Exit.FAILED,
    errors.InteractionNotPending: Exit.NOT_FOUND,
    errors.AnswerInvalid: Exit.USAGE,
    errors.StoreUnavailable: Exit.STORE,
    errors.DataDamaged: Exit.STORE,
    errors.RequestCancelled: Exit.INTERRUPTED,
}


def exit_of_error(error: errors.SidestepError) -> Exit:
    """The exit code of an error that ends a command."""
    return EXIT_OF_ERROR.get(type(error), Exit.FAILED)


def exit_of_status(status: RunStatus) -> Exit:
    """
    The exit code of a run that was waited for.

    Args:
        status: A stopped one.
    """
    return EXIT_OF_STATUS[status]
