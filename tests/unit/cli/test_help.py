"""The help texts, word for word; `UPDATE_GOLDEN=1` writes them again."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click
import pytest
from click.testing import CliRunner

from sidestep.cli.program import program

if TYPE_CHECKING:
    from collections.abc import Iterator

GOLDEN = Path(__file__).with_name("help.txt")


def commands(command: click.Command, words: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    yield words, command
    if isinstance(command, click.Group):
        context = click.Context(command, **command.context_settings)
        for name in command.list_commands(context):
            below = command.get_command(context, name)
            assert below is not None
            yield from commands(below, (*words, name))


def helped() -> list[tuple[str, ...]]:
    # `serve` reads its own flags; its help is tested with it.
    return [words for words, _ in commands(program) if words != ("serve",)]


def help_of(words: tuple[str, ...]) -> str:
    done = CliRunner(env={"COLUMNS": "80"}).invoke(program, [*words, "--help"], prog_name="sidestep", terminal_width=80)
    assert done.exit_code == 0, done.output
    return done.output


def test_the_help_texts_are_the_golden_ones() -> None:
    told = "".join(f"$ sidestep {' '.join((*words, '--help'))}\n{help_of(words)}\n" for words in helped())
    if os.environ.get("UPDATE_GOLDEN"):
        GOLDEN.write_text(told, encoding="utf-8")
    assert told == GOLDEN.read_text(encoding="utf-8"), "rewrite with UPDATE_GOLDEN=1, then read the difference"


@pytest.mark.parametrize("words", helped(), ids=" ".join)
def test_every_help_text_has_an_example(words: tuple[str, ...]) -> None:
    text = help_of(words)
    assert "Example" in text
    assert "sidestep" in text.partition("Example")[2]


@pytest.mark.parametrize("words", helped(), ids=" ".join)
def test_no_short_help_is_cut(words: tuple[str, ...]) -> None:
    assert "..." not in help_of(words).replace("]...", "").replace("RUN...", "").replace("PATH...", "").replace(
        "[ARGS]...", ""
    )
