"""
Ids to offer for a step that is being written.

The check derives an id from what a step is given; here it is asked about the call as far as it is typed, so that both
always propose the same. An id of the last run that no call has any more keeps finished work, so it is offered too.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from sidestep.language.reference import primitives_of
from sidestep.language.steps import covers
from sidestep.scripts.check import check
from sidestep.scripts.imports import AUTHORING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sidestep.language.document import Snapshot
    from sidestep.language.surroundings import Surroundings
    from sidestep.language.text_cursor import Bracket, TextCursor

_PROPOSED = re.compile(r'id="([^"\\]+)"')

# Lost ids offered, the last ones.
LOST_IDS_MAX = 50


def proposed_ids(
    snapshot: Snapshot, cursor: TextCursor, call: Bracket, surroundings: Surroundings
) -> Iterator[tuple[str, str]]:
    """Ids for the step whose call is being typed, each with what it is."""
    taken = _taken_ids(snapshot, cursor)
    name = _derived(snapshot, call)
    if name is not None:
        yield _free(name, taken), "from what the step is given"
    if surroundings.last_steps is None:
        return
    readable = snapshot.readable
    sites = [] if readable is None else readable.call_sites
    lost = [
        step.step_id
        for step in surroundings.last_steps(snapshot.path)
        if not any(site.step_id is not None and site.step_id.matches(step.step_id) for site in sites)
    ]
    for step_id in list(dict.fromkeys(lost))[-LOST_IDS_MAX:]:
        yield step_id, "of the last run; no step here has it"


def _derived(snapshot: Snapshot, call: Bracket) -> str | None:
    """The id the check would propose for this call, if it ended before its `id=`."""
    primitive = primitives_of(snapshot.text).get(call.callee)
    before = snapshot.text[call.start + 1 : call.argument_start].rstrip()
    given = re.sub(r"(?:^|,)\s*id\s*=$", "", before).rstrip().rstrip(",")
    if primitive is None:
        return None
    statement = f"{primitive.name}({given}\n)"
    script = f"from {AUTHORING} import {primitive.name}\nasync def main():\n    await {statement}\n"
    for problem in check(script, snapshot.file):
        if problem.code == "missing-id" and problem.fix is not None:
            found = _PROPOSED.search(problem.fix[4])
            return None if found is None else found[1]
    return None


def _taken_ids(snapshot: Snapshot, cursor: TextCursor) -> set[str]:
    """Ids that the script has elsewhere; the one that is being typed is not taken by itself."""
    readable = snapshot.readable
    here = snapshot.position(cursor.offset)
    return {
        site.step_id.text
        for site in (readable.call_sites if readable is not None else [])
        if site.step_id is not None and not (readable is snapshot and covers(site.step_id.span, *here))
    }


def _free(name: str, taken: set[str]) -> str:
    number, candidate = 1, name
    while candidate in taken:
        number += 1
        candidate = f"{name}-{number}"
    return candidate
