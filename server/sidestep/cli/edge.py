"""
The edge between click and the shell: runs one command and turns whatever ends it into words on stderr and an exit code.

Invariant: a person never sees a traceback. What nobody foresaw gets a word (`inc_...`) and stands in the log under it.
"""

from __future__ import annotations

import contextlib
import errno
import io
import logging
import os
import sys
from typing import TYPE_CHECKING

import click

from sidestep.cli.complaints import complain
from sidestep.cli.exits import Exit, exit_of_error
from sidestep.cli.invocation import Invocation
from sidestep.cli.logs import incident_log
from sidestep.cli.program import program
from sidestep.cli.stop_signals import StopSignals, hurry
from sidestep.model.errors import SidestepError
from sidestep.system import RandomIds

if TYPE_CHECKING:
    from collections.abc import Sequence

log = logging.getLogger("sidestep.cli")

# Why a stream takes no more; such an error names no file.
_OUTPUT_ERRORS = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EBADF})


def run_command(words: Sequence[str]) -> int:
    """Run the command the words name. Returns its exit code."""
    stand_in_for_closed_streams()
    print_whatever_it_is()
    with StopSignals(hurry) as signals:
        return _run(words, Invocation(signals))


def _run(words: Sequence[str], invocation: Invocation) -> int:
    try:
        answer = program.main(args=list(words), prog_name="sidestep", standalone_mode=False, obj=invocation)
        sys.stdout.flush()
    except click.ClickException as error:
        with contextlib.suppress(OSError):
            error.show()
        return Exit.USAGE
    except (click.Abort, KeyboardInterrupt):
        _say("Stopped.")
        return Exit.INTERRUPTED
    except SidestepError as error:
        if error.code == "internal":
            return _incident(error)
        with contextlib.suppress(OSError):
            complain(error, invocation)
        return exit_of_error(error)
    except BrokenPipeError:
        forsake_stdout()
        return Exit.FAILED
    except OSError as error:
        return _accident(error)
    except Exception as error:
        return _incident(error)
    return answer if isinstance(answer, int) else Exit.COMPLETED


def stand_in_for_closed_streams() -> None:
    """Let no file that is opened later take the place, and get the output, of a stream the shell has closed."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            # The lowest free number is taken, which is this one.
            os.open(os.devnull, os.O_RDWR)
    for name in ("stdin", "stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "r" if name == "stdin" else "w", encoding="utf-8"))  # noqa: SIM115


def print_whatever_it_is() -> None:
    """Let no character stop a command: what the streams' encoding lacks is written as an escape."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def forsake_stdout() -> None:
    """Whoever read our output has what it wanted; the interpreter flushes once more on its way out."""
    with contextlib.suppress(OSError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _accident(error: OSError) -> int:
    """Tell of what may happen to any program; anything else of the system is an incident."""
    if not _has_working_folder():
        _say("sidestep: the folder you are in was deleted; go to another one.")
        return Exit.USAGE
    if error.filename is None and error.errno in _OUTPUT_ERRORS:
        forsake_stdout()
        _say(f"sidestep: cannot write to stdout: {error.strerror}.")
        return Exit.FAILED
    return _incident(error)


def _has_working_folder() -> bool:
    try:
        os.getcwd()
    except OSError:
        return False
    return True


def _incident(error: Exception) -> int:
    incident = RandomIds().incident_id()
    log.error("incident %s", incident, exc_info=error)
    what = type(error).__name__
    _say(f"sidestep: something went wrong that should not ({what}, incident {incident}).")
    _say(f"What happened stands under that word in {incident_log(os.environ)}")
    return Exit.FAILED


def _say(line: str) -> None:
    with contextlib.suppress(OSError):
        click.echo(line, err=True)
