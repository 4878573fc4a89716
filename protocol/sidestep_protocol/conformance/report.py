"""The outcomes for people (a table) and for programs (JSON). Knows no server."""

from __future__ import annotations

import json
import textwrap
from collections import Counter
from typing import TYPE_CHECKING

from sidestep_protocol.conformance.running import Outcome, Verdict

if TYPE_CHECKING:
    from collections.abc import Sequence

_MARKS = {Verdict.PASSED: "pass", Verdict.FAILED: "FAIL", Verdict.SKIPPED: "skip"}
_CLAUSE_WIDTH = 22


def line_of(outcome: Outcome) -> str:
    """One outcome: verdict, group, clause, the check's id and its sentence; a failure says more below."""
    check = outcome.check
    what = f"{check.id}: {check.sentence}" if not outcome.why else f"{check.id}: skipped: {outcome.why}"
    first = f"{_MARKS[outcome.verdict]}  {outcome.group:<12}  {check.clause:<{_CLAUSE_WIDTH}}  {what}"
    if outcome.verdict is not Verdict.FAILED:
        return first
    told = [f"expected: {outcome.expected}", f"seen: {outcome.seen}", "the messages around it:"]
    more = [*told, *(f"  {line}" for line in outcome.messages)]
    return "\n".join([first, textwrap.indent("\n".join(more), "      ")])


def summary_of(outcomes: Sequence[Outcome]) -> str:
    """How many of each, and the clauses that are not kept."""
    counts = Counter(outcome.verdict for outcome in outcomes)
    told = ", ".join(f"{counts[verdict]} {verdict.value}" for verdict in Verdict if counts[verdict])
    broken = dict.fromkeys(outcome.check.clause for outcome in outcomes if outcome.verdict is Verdict.FAILED)
    return f"{told}; not kept: {', '.join(broken)}" if broken else told


def json_of(outcomes: Sequence[Outcome]) -> str:
    """
    One object: `passed`, `failed` and `skipped` are numbers, `notKept` the clauses of failed checks, and `checks` says
    of each check `id`, `group`, `clause`, `sentence`, `verdict`, `seconds`, and `why`, or `expected`, `seen` and
    `messages`.
    """
    counts = Counter(outcome.verdict for outcome in outcomes)
    failed = [outcome.check.clause for outcome in outcomes if outcome.verdict is Verdict.FAILED]
    whole = {
        **{verdict.value: counts[verdict] for verdict in Verdict},
        "notKept": list(dict.fromkeys(failed)),
        "checks": [_plain(outcome) for outcome in outcomes],
    }
    return json.dumps(whole, indent=2, ensure_ascii=False)


def _plain(outcome: Outcome) -> dict[str, object]:
    check = outcome.check
    plain: dict[str, object] = {
        "id": check.id,
        "group": outcome.group,
        "clause": check.clause,
        "sentence": check.sentence,
        "verdict": outcome.verdict.value,
        "seconds": round(outcome.seconds, 3),
    }
    if outcome.verdict is Verdict.SKIPPED:
        plain["why"] = outcome.why
    if outcome.verdict is Verdict.FAILED:
        plain.update(expected=outcome.expected, seen=outcome.seen, messages=outcome.messages)
    return plain
