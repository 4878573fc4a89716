"""What a script's docstrings say: one line about the script, one about each argument (Google style)."""

from __future__ import annotations

import re

_SECTION = re.compile(r"(Args|Arguments|Parameters):")
_ENTRY = re.compile(r"\s+(?P<name>\w+)\s*(?:\([^)]*\))?\s*:\s*(?P<text>.*)")


def first_line(docstring: str | None) -> str:
    """The first line that says something; empty without one."""
    return next((line.strip() for line in (docstring or "").splitlines() if line.strip()), "")


def argument_descriptions(docstring: str) -> dict[str, str]:
    """
    Descriptions in the `Args:` section of a cleaned Google-style docstring, by name.

    Lines indented deeper than the names go on with the description above them.
    """
    found: dict[str, list[str]] = {}
    inside, indent, current = False, None, None
    for line in docstring.splitlines():
        depth = len(line) - len(line.lstrip())
        if not inside:
            inside = _SECTION.fullmatch(line.rstrip()) is not None
        elif not line.strip():
            continue
        elif depth == 0:
            break
        elif (indent is None or depth <= indent) and (entry := _ENTRY.match(line)):
            indent = depth if indent is None else indent
            current = found.setdefault(entry["name"], [])
            current.append(entry["text"])
        elif current is not None:
            current.append(line)
    return {name: " ".join(" ".join(lines).split()) for name, lines in found.items()}
