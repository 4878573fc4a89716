"""
Where a failed run failed, as a problem of the script that is being written: at the call of the step, or at the line.

Invariant: nothing is said of a call, or a line, that is not as it was when it failed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sidestep.language.steps import covers
from sidestep.model.problems import ScriptProblem
from sidestep.scripts.source_text import Span

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sidestep.language.document import Snapshot
    from sidestep.language.steps import CallSite
    from sidestep.model.run import Failure

# A problem's message; the rest stands in the report.
MESSAGE_MAX = 300


def failed_calls(snapshot: Snapshot, ran: Snapshot, failure: Failure) -> list[ScriptProblem]:
    """
    The problems to show in a script; none while it is no Python.

    Args:
        ran: The text that the run ran.
    """
    if snapshot.syntax is None:
        return []
    spans = list(_spans(snapshot, ran, failure))
    what = f"step {failure.step_id!r}" if failure.step_id is not None else "the script"
    message = f"In the last run {what} failed: {failure.message}"
    if len(message) > MESSAGE_MAX:
        message = f"{message[: MESSAGE_MAX - 1]}…"
    return [
        ScriptProblem(
            line=span.line,
            column=span.column,
            message=message,
            code="step-failed",
            end_line=span.end_line,
            end_column=span.end_column,
        )
        for span in spans
    ]


def _spans(snapshot: Snapshot, ran: Snapshot, failure: Failure) -> Iterator[Span]:
    if failure.step_id is not None:
        failed = _failed_site(ran, failure.step_id, failure.line)
        if failed is not None:
            text = ran.source.slice(failed.span)
            for site in snapshot.call_sites:
                is_it = site.step_id is not None and site.step_id.matches(failure.step_id)
                if is_it and snapshot.source.slice(site.span) == text:
                    yield site.span
            return
    if failure.line is None or not 0 < failure.line <= min(len(ran.source.lines), len(snapshot.source.lines)):
        return
    line = snapshot.source.lines[failure.line - 1]
    if line == ran.source.lines[failure.line - 1]:
        yield Span(failure.line, len(line) - len(line.lstrip()) + 1, failure.line, len(line) + 1)


def _failed_site(ran: Snapshot, step_id: str, line: int | None) -> CallSite | None:
    """The call that made the step; of several that may have, the one at the line."""
    sites = [site for site in ran.call_sites if site.step_id is not None and site.step_id.matches(step_id)]
    at_line = [site for site in sites if line is not None and covers(site.span, line, site.span.column)]
    return next(iter([*at_line, *sites]), None)
