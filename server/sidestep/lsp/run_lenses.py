"""
What an open script shows of its runs: code lenses, the same as code actions, and where the last run failed.

Owns the conversion to LSP's JSON and the pace of refreshes. What is offered stands in `language/lenses.py`, which runs
there are in `script_runs.py`. Works in any thread but for `changed`, which is the event loop's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sidestep.language.failed_calls import failed_calls
from sidestep.language.lenses import main_span, offers
from sidestep.lsp import language_answers as answers
from sidestep.lsp.language_offer import RUN_ACTION
from sidestep.lsp.positions import to_range
from sidestep.model.replay_key import hash_text

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sidestep.language.document import Snapshot
    from sidestep.language.lenses import Offer
    from sidestep.lsp.pushed_diagnostics import Timer
    from sidestep.lsp.script_runs import FailedRun
    from sidestep.model.run import RunRecord
    from sidestep.scripts.source_text import Span


def code_lenses(snapshot: Snapshot, uri: str, runs: Sequence[RunRecord], encoding: str) -> list[dict[str, Any]]:
    """Lenses on `main`."""
    places = main_span(snapshot)
    if places is None:
        return []
    where = to_range(snapshot, places[0], encoding)
    return [{"range": where, "command": _command(each)} for each in offers(uri, runs, hash_text(snapshot.text))]


def run_actions(snapshot: Snapshot, uri: str, runs: Sequence[RunRecord], wanted: Span) -> list[dict[str, Any]]:
    """The same for editors that never ask for lenses: anywhere in `main`."""
    places = main_span(snapshot)
    if places is None or wanted.end_line < places[1].line or wanted.line > places[1].end_line:
        return []
    return [
        {"title": f"{each.title}: {snapshot.file}", "kind": RUN_ACTION, "command": _command(each)}
        for each in offers(uri, runs, hash_text(snapshot.text))
    ]


def failure_diagnostics(
    snapshot: Snapshot, uri: str, failed: FailedRun, encoding: str, *, with_related: bool
) -> list[dict[str, Any]]:
    """
    The failed run as diagnostics of the script.

    Args:
        with_related: The client shows related information: the whole error, which leads to the report.
    """
    error = failed.run.error
    if error is None:
        return []
    told: list[dict[str, Any]] = []
    for problem in failed_calls(snapshot, failed.ran, error):
        diagnostic = answers.diagnostic(snapshot, problem, encoding)
        if with_related:
            start = {"start": {"line": 0, "character": 0}, "end": {"line": 0, "character": 0}}
            where = {"uri": uri, "range": diagnostic["range"]}
            if failed.report_uri is not None:
                where = {"uri": failed.report_uri, "range": start}
            diagnostic["relatedInformation"] = [{"location": where, "message": f"The report: {error.message}"}]
        else:
            diagnostic["message"] += f"\nSee it with: sidestep runs show {failed.run.run_id}"
        told.append(diagnostic)
    return told


def _command(offer: Offer) -> dict[str, Any]:
    return {"title": offer.title, "command": offer.command, "arguments": [offer.argument]}


class LensRefresh:
    """
    Asks the client to ask for its lenses again, as runs change: at most once in `least_s`, and never while it has not
    answered the last time. The event loop's.
    """

    def __init__(
        self,
        refresh: Callable[[Callable[[], None]], object],
        call_later: Callable[[float, Callable[[], None]], Timer],
        *,
        least_s: float,
    ) -> None:
        """
        Args:
            refresh: Calls back when the client has answered.
        """
        self._refresh = refresh
        self._is_asked = False
        self._call_later = call_later
        self._least_s = least_s
        self._resting: Timer | None = None
        self._is_due = False

    def changed(self) -> None:
        """There is news: say so now, or when the pace allows."""
        if self._resting is not None or self._is_asked:
            self._is_due = True
            return
        self._is_due = False
        self._resting = self._call_later(self._least_s, self._rested)
        self._is_asked = True
        self._refresh(self._answered)

    def close(self) -> None:
        self._is_due = False
        if self._resting is not None:
            self._resting.cancel()

    def _rested(self) -> None:
        self._resting = None
        if self._is_due:
            self.changed()

    def _answered(self) -> None:
        self._is_asked = False
        if self._is_due:
            self.changed()
