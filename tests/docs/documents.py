"""The project's documents as the tests here read them: their text, fenced blocks, sections and prose."""

from __future__ import annotations

import re
import textwrap
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]

README = "README.md"
CONTRACT = "protocol/README.md"
HOSTS = "editors/README.md"
ARCHITECTURE = "server/ARCHITECTURE.md"
WRITING = "server/WRITING_WORKFLOWS.md"
GUIDE = "server/sidestep/cli/guide.md"
CHANGELOG = "CHANGELOG.md"

DOCUMENTS = (README, CONTRACT, HOSTS, ARCHITECTURE, WRITING, GUIDE, CHANGELOG)

_FENCE = re.compile(r"^(?P<indent> *)```(?P<info>[^\n`]*)\n(?P<body>.*?)^(?P=indent)```$", re.MULTILINE | re.DOTALL)
_HEADING = re.compile(r"^(?P<level>#+) (?P<title>.+)$", re.MULTILINE)


@dataclass(frozen=True)
class Fence:
    """
    One fenced block.

    Attributes:
        info: The words behind the opening fence: a language, and for whoever reads the block what it is.
        line: Of the opening fence, 1-based.
    """

    document: str
    info: tuple[str, ...]
    body: str
    line: int

    def __str__(self) -> str:
        return f"{self.document}:{self.line} {' '.join(self.info)}"


@cache
def text_of(document: str) -> str:
    return (ROOT / document).read_text(encoding="utf-8")


def fences(document: str, *info: str) -> list[Fence]:
    """The blocks of a document whose info begins with these words."""
    text = text_of(document)
    found = [
        Fence(
            document,
            tuple(match["info"].split()),
            textwrap.dedent(match["body"]),
            text.count("\n", 0, match.start()) + 1,
        )
        for match in _FENCE.finditer(text)
    ]
    return [fence for fence in found if fence.info[: len(info)] == info]


def the_fence(document: str, *info: str) -> Fence:
    """The one block with this info."""
    found = fences(document, *info)
    assert len(found) == 1, f"{document}: one block {' '.join(info)!r}, not {len(found)}"
    return found[0]


def without_fences(document: str) -> str:
    """The text with its blocks emptied; lines keep their numbers."""
    return _FENCE.sub(lambda match: "\n" * match[0].count("\n"), text_of(document))


@cache
def sections(document: str) -> dict[str, str]:
    """Heading to the text under it, up to the next heading of whatever level; blocks included."""
    text = text_of(document)
    bare = _FENCE.sub(lambda match: " " * len(match[0]), text)
    headings = list(_HEADING.finditer(bare))
    ends = [heading.start() for heading in headings[1:]] + [len(text)]
    return {heading["title"]: text[heading.end() : end].strip() for heading, end in zip(headings, ends, strict=True)}


def table_rows(text: str) -> list[list[str]]:
    """Cells of every table row in the text, without header and rule; escaped bars stay in their cell."""
    rows: list[list[str]] = []
    for table in re.findall(r"(?:^\|.*\n?)+", text, re.MULTILINE):
        lines = table.strip().splitlines()
        rows += [[cell.strip() for cell in re.split(r"(?<!\\)\|", line.strip("|"))] for line in lines[2:]]
    return rows


def code_spans(text: str) -> list[str]:
    """What stands in single backticks."""
    return re.findall(r"(?<!`)`([^`\n]+)`(?!`)", text)
