"""
The tree of commands. A command's module is imported when the command is named, or when help lists it.

Invariant: this module imports click and nothing else that costs time.
"""

from __future__ import annotations

import importlib

import click

COMMANDS = {
    "run": "run:run",
    "runs": "runs:runs",
    "scripts": "scripts:scripts",
    "guide": "guide:guide",
    "validate": "validate:validate",
    "trust": "trust:trust",
    "doctor": "doctor:doctor",
    "schema": "schema:schema",
    "serve": "serve_help:serve",
    "completion": "completion:completion",
}


class LazyGroup(click.Group):
    """A group whose commands stand in a table of `module:attribute`, relative to this package."""

    def __init__(self, *args: object, table: dict[str, str] | None = None, **options: object) -> None:
        super().__init__(*args, **options)  # pyright: ignore[reportArgumentType] -- click's own parameters
        self.table = table or {}

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.table)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        is_known = args[0].startswith("-") or self.get_command(ctx, args[0]) is not None
        if not is_known and not ctx.resilient_parsing:
            from sidestep.scripts.near_names import did_you_mean

            ctx.fail(f"no such command: {args[0]!r}.{did_you_mean(args[0], self.table)}")
        return super().resolve_command(ctx, args)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        place = self.table.get(cmd_name)
        if place is None:
            return None
        module, attribute = place.split(":")
        return getattr(importlib.import_module(f"sidestep.cli.{module}"), attribute)


def _print_version(ctx: click.Context, _: click.Parameter, wanted: bool) -> None:
    if not wanted or ctx.resilient_parsing:
        return
    from sidestep.app import VERSION

    click.echo(f"sidestep {VERSION}")
    ctx.exit()


@click.group(
    cls=LazyGroup,
    table=COMMANDS,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Example: sidestep run repo-report",
)
@click.option(
    "--version", is_flag=True, is_eager=True, expose_value=False, callback=_print_version, help="Show the version."
)
def program() -> None:
    """
    Run durable workflows: no finished step is ever lost or paid for twice.

    A workflow is a short Python script that conducts commands, agents and people. Stop it, close the laptop, come
    back: `sidestep runs continue last` goes on where it was.
    """
    import os

    from sidestep.cli.logs import configure

    configure(os.environ)
