"""What holds for all documents: how they are written, and that what they name is there."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import click
import pytest

from sidestep.cli.program import program
from sidestep.cli.serve import USAGE
from tests.docs.documents import CONTRACT, DOCUMENTS, HOSTS, ROOT, code_spans, fences, text_of, without_fences

# A sentence ends, and another begins, on one line. Abbreviations that end in a dot are not used.
TWO_SENTENCES = re.compile(r"[.!?][)\"'*_`]*\s+[\"'(*_`\[]*[A-Z0-9]")
# What a line of a paragraph ends in: a sentence goes on in no other line.
SENTENCE_END = re.compile(r"[.!?:;][)\"'*_`]*$")
NO_PROSE = re.compile(r"^\s*(\||#|<|!\[|\[[^\]]+\]: |$)")
# What a sentence does not begin with: an item's mark, a heading that runs in.
ITEM = re.compile(r"^\s*([-*]|\d+\.)\s+")
RUN_IN = re.compile(r"^\*\*[^*]+\*\*\s+")
MACHINE_PATH = re.compile(r"(?<![\w.~])/(home|root|Users|tmp|work|mnt|usr/local)\b")


def prose_lines(document: str) -> list[tuple[int, str]]:
    """Numbered lines that are neither table, heading, HTML, picture nor inside a block."""
    lines = without_fences(document).splitlines()
    return [(number, line) for number, line in enumerate(lines, start=1) if not NO_PROSE.match(line)]


@pytest.mark.parametrize("document", DOCUMENTS)
def test_one_sentence_stands_on_one_line(document: str) -> None:
    crowded: list[str] = []
    for number, line in prose_lines(document):
        bare = re.sub(r"`[^`]*`", "`x`", RUN_IN.sub("", ITEM.sub("", line)))
        if TWO_SENTENCES.search(bare):
            crowded.append(f"{document}:{number}: {line}")
    assert crowded == []


@pytest.mark.parametrize("document", DOCUMENTS)
def test_no_sentence_is_broken_over_lines(document: str) -> None:
    broken = [
        f"{document}:{number}: {line}"
        for number, line in prose_lines(document)
        if not ITEM.match(line) and not SENTENCE_END.search(line)
    ]
    assert broken == []


@pytest.mark.parametrize("document", DOCUMENTS)
def test_no_document_names_a_path_of_one_machine(document: str) -> None:
    text = text_of(document)
    assert MACHINE_PATH.findall(text) == []
    named = [str(path) for path in (ROOT, Path.home()) if len(path.parts) > 1 and str(path) in text]
    assert named == []


@pytest.mark.parametrize("document", DOCUMENTS)
def test_links_and_pictures_lead_somewhere(document: str) -> None:
    text = text_of(document)
    targets = re.findall(r"\]\(([^)\s]+)\)", text) + re.findall(r'(?:src|href)="([^"]+)"', text)
    missing: list[str] = []
    for target in targets:
        path, _, anchor = target.partition("#")
        if "://" in path:
            continue
        file = (ROOT / document).parent / path if path else ROOT / document
        if not file.exists() or (anchor and anchor not in anchors(file)):
            missing.append(target)
    assert missing == []


def anchors(file: Path) -> set[str]:
    """The anchors that a forge gives a document's headings."""
    headings = re.findall(r"^#+ (.+)$", file.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def commands() -> list[str]:
    """Every `sidestep ...` and `make ...` in the documents: in shell blocks a line each, and in backticks."""
    found: list[str] = []
    for document in DOCUMENTS:
        lines = [line for fence in fences(document, "sh") for line in fence.body.splitlines()]
        found += [line.partition("  #")[0].strip() for line in lines]
        found += code_spans(without_fences(document))
    wanted = [line for line in found if re.match(r"(sidestep|make)( [^`]|$)", line)]
    return sorted({line for line in wanted if line not in ("sidestep", "make")})


@pytest.mark.parametrize("command", commands())
def test_a_command_that_a_document_shows_exists(command: str) -> None:
    words = shlex.split(command.replace("[", "").replace("]", ""))
    if words[0] == "make":
        targets = re.findall(r"^([a-z0-9-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
        assert words[1] in [*targets, "e2e-*"]
    elif words[1] == "serve":
        flags = [word.partition("=")[0] for word in words[2:] if word.startswith("--")]
        assert [flag for flag in flags if flag not in USAGE] == []
    elif not words[1].startswith("-"):
        check_words(program, words[1:])


def check_words(command: click.Command, words: list[str]) -> None:
    """Follow the words through click's tree to a command, whose options the rest must be."""
    # With its settings: click keeps the help option it makes from them on the command, for everybody.
    with click.Context(command, info_name="sidestep", **command.context_settings) as context:
        while isinstance(command, click.Group) and words and not words[0].startswith("-"):
            found = command.get_command(context, words[0])
            assert found is not None, f"no command {words[0]!r}"
            command, words = found, words[1:]
        known = {name for parameter in command.get_params(context) for name in parameter.opts}
    assert {word.partition("=")[0] for word in words if word.startswith("--")} - known - {"--help"} == set()


def test_the_contract_shows_the_usage_of_serve() -> None:
    (usage,) = [span for span in code_spans(text_of(CONTRACT)) if span.startswith("sidestep serve [")]
    assert f"Usage: {usage}\n" in USAGE


def test_the_documents_show_commands_at_all() -> None:
    assert len(commands()) > 10
    assert fences(HOSTS)
