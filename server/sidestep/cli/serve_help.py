"""`serve` as it stands in the list of commands; what it does and its flags are `serve.py`'s, which `main.py` calls."""

from __future__ import annotations

import click


@click.command(add_help_option=False, context_settings={"ignore_unknown_options": True})
@click.argument("flags", nargs=-1, type=click.UNPROCESSED)
def serve(flags: tuple[str, ...]) -> int:
    """Speak the protocol to an editor."""
    from sidestep.cli.serve import main

    return main(flags)
