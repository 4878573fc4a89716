"""The name a person most likely meant."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

# Longer names are compared with nothing: the comparison is quadratic and nobody types them.
NEAR_NAME_CHARS_MAX = 100

# Known names a name is compared with.
KNOWN_NAMES_MAX = 2000


def near_names(name: str, known: Iterable[str], *, count: int = 3) -> tuple[str, ...]:
    """Known names close to `name`, best first, at most `count`; letter case is no difference."""
    if len(name) > NEAR_NAME_CHARS_MAX:
        return ()
    # Imported late: most processes never meet a wrong name.
    import difflib

    folded = name.casefold()
    candidates = sorted((each for each in known if abs(len(each) - len(name)) <= NEAR_NAME_CHARS_MAX), reverse=True)
    if len(candidates) > KNOWN_NAMES_MAX:
        candidates = [each for each in candidates if each[:1].casefold() == folded[:1]][:KNOWN_NAMES_MAX]
    by_folded = {each.casefold(): each for each in candidates}
    close = difflib.get_close_matches(folded, by_folded, n=count, cutoff=0.6)
    if len(folded) >= 2:
        close += [each for each in by_folded if each.startswith(folded) and each not in close]
    return tuple(by_folded[each] for each in close[:count])


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """` Did you mean 'x'?` with its leading space, or nothing."""
    near = near_names(name, known, count=1)
    return f" Did you mean {near[0]!r}?" if near else ""
