"""`sidestep guide`: how workflow scripts are written, on one page, for people and for agents that write them."""

from __future__ import annotations

from pathlib import Path

import click

from sidestep.cli.outcome import print_markdown


@click.command(
    short_help="Print how workflow scripts are written, on one page.",
    epilog="""Examples:

\b
  sidestep guide
  sidestep guide > guide.md
""",
)
def guide() -> None:
    """
    Print how workflow scripts are written, on one page: the primitives, what they give, patterns, mistakes.

    On a terminal it is set for reading; into a file or a pipe it is the Markdown itself, to be given to an agent.
    """
    print_markdown(guide_text())


def guide_text() -> str:
    """The page, as Markdown."""
    return Path(__file__).with_name("guide.md").read_text(encoding="utf-8").rstrip("\n")
