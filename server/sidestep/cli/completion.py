"""`sidestep completion`: the script a shell needs to complete commands, options, workflow names and run ids."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

_SHELLS = ("bash", "fish", "zsh")


@click.command(
    short_help="Print the completion script of a shell.", epilog='Example: eval "$(sidestep completion bash)"'
)
@click.argument("shell", type=click.Choice(_SHELLS))
def completion(shell: str) -> None:
    """
    Print what makes a shell complete sidestep's commands, workflow names and run ids.

    \b
    bash: put into ~/.bashrc   eval "$(sidestep completion bash)"
    zsh:  put into ~/.zshrc    eval "$(sidestep completion zsh)"
    fish: sidestep completion fish > ~/.config/fish/completions/sidestep.fish
    """
    from sidestep.cli.program import program

    kind = get_completion_class(shell)
    assert kind is not None, "click knows the shells that can be chosen"
    click.echo(kind(program, {}, "sidestep", "_SIDESTEP_COMPLETE").source())
