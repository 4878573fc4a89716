"""
From an error of the sandbox to a `Failure` with the author's file and line (S9, N2).

Nothing is decided by a message: limits are told by their exception's type, and a step's failure by the identity of the
text it was raised with, which `remember` was told when it was delivered.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from pydantic_monty import MontyCrashedError, MontyRuntimeError, MontySyntaxError

from sidestep.model.run import Failure, FailureCode
from sidestep.runtime.bridge import failure_text

if TYPE_CHECKING:
    from pydantic_monty import Frame, MontyError

    from sidestep.runtime.loader import Loaded
    from sidestep.settings import Settings

# Failures whose text is kept; a script that raises an older one again fails with code script.
_REMEMBERED_MAX = 1000

_NOT_SUPPORTED = re.compile(r"^The monty syntax parser does not yet support (.*)", re.DOTALL)


class Failures:
    """Makes the failures of one run of one script."""

    def __init__(self, file: str, loaded: Loaded, script_frame: str, settings: Settings) -> None:
        self._file = file
        self._loaded = loaded
        self._script_frame = script_frame
        self._settings = settings
        # Text a step's failure was raised with -> the failure, with the line of the step's call.
        self._delivered: dict[str, Failure] = {}
        # Text of a NameError -> what to do about it.
        self._hints: dict[str, str] = {}

    def remember(self, error: Failure, line: int | None) -> None:
        """A step's failure is about to be raised in the script; `line` is that of the step's call."""
        text = failure_text(error)
        self._delivered.pop(text, None)
        while len(self._delivered) >= _REMEMBERED_MAX:
            self._delivered.pop(next(iter(self._delivered)))
        self._delivered[text] = Failure(error.code, error.message, error.step_id, self._file, line or error.line)

    def hint(self, name: str, what_to_do: str) -> None:
        """A name was looked up that nothing defines."""
        self._hints[f"name {name!r} is not defined"] = what_to_do

    def script(self, message: str, line: int | None = None) -> Failure:
        return self._failure(FailureCode.SCRIPT, message, line)

    def limit(self, message: str, line: int | None = None) -> Failure:
        return self._failure(FailureCode.LIMIT, message, line)

    def too_big(self, line: int | None) -> Failure:
        mib = self._settings.sandbox_memory_bytes_max // 1024**2
        return self.limit(f"the script needs more than the {mib} MiB of memory it has", line)

    def of(self, error: MontyError) -> Failure:
        """The failure that `error` ends the run with."""
        if isinstance(error, MontyCrashedError):
            if error.timed_out:
                return self.limit(self._too_long())
            return self._failure(FailureCode.INFRASTRUCTURE, f"the sandbox's worker process died: {error}")
        if isinstance(error, MontySyntaxError):
            frame = next(iter(reversed(error.traceback())), None)
            return self._syntax(str(error), frame)
        if isinstance(error, MontyRuntimeError):
            return self._raised(error)
        return self._failure(FailureCode.INFRASTRUCTURE, f"the sandbox failed: {error}")

    def _raised(self, error: MontyRuntimeError) -> Failure:
        raised = error.exception()
        frames = error.traceback()
        line = self._line(frames)
        text = error.display("msg")
        if isinstance(raised, TimeoutError) and not frames:
            # Only the sandbox's own time limit has no frame; a script cannot catch it.
            return self.limit(self._too_long())
        if isinstance(raised, MemoryError):
            return self.too_big(line)
        if isinstance(raised, RecursionError):
            depth = self._settings.sandbox_recursion_max
            return self.limit(f"the script nests calls or values deeper than {depth} levels", line)
        if isinstance(raised, RuntimeError | TimeoutError) and text in self._delivered:
            step = self._delivered[text]
            return step if step.line is not None else self._failure(step.code, step.message, line, step.step_id)
        if isinstance(raised, NotImplementedError) and frames and (found := _NOT_SUPPORTED.match(text)):
            return self._syntax(f"the sandbox does not have {found[1]}", frames[-1])
        message = str(error)
        if isinstance(raised, NameError) and text in self._hints:
            message += f"; {self._hints[text]}"
        return self.script(message, line)

    def _syntax(self, text: str, frame: Frame | None) -> Failure:
        if frame is None:
            return self.script(f"SyntaxError: {text}")
        last = len(self._loaded.lines)
        if frame.line > last:
            # What is told is about the text below the script, which the author does not know.
            return self.script("SyntaxError: something is begun and not ended where the script ends", last)
        column = self._loaded.column(frame.line, frame.column)
        return self.script(f"SyntaxError: {text} (column {column})", frame.line)

    def _line(self, frames: list[Frame]) -> int | None:
        """The line of the innermost frame that is the author's; what stands below the script is not."""
        last = len(self._loaded.lines)
        lines = [frame.line for frame in frames if frame.filename == self._script_frame and frame.line <= last]
        return lines[-1] if lines else None

    def _too_long(self) -> str:
        return f"the script computed for more than {self._settings.sandbox_turn_s_max:g} s without waiting for a step"

    def _failure(self, code: FailureCode, message: str, line: int | None = None, step_id: str | None = None) -> Failure:
        most = self._settings.failure_message_chars_max
        if len(message) > most:
            message = message[:most] + "..."
        return Failure(code, message, step_id=step_id, file=self._file, line=line)
