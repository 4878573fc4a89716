"""
One call of the command line: what every part of it needs to know beyond a command's own parameters.

Hands out the commands that are proposed to people, so that each works as it is printed, from where it was printed.
"""

from __future__ import annotations

import shlex
from dataclasses import dataclass, field

import click

from sidestep.cli.stop_signals import StopSignals, hurry


@dataclass
class Invocation:
    """
    Attributes:
        signals: What stops the command.
        typed_store: What `--store` said; None when it was not said, as the environment says it to the next call too.
        typed_script: The workflow as it was named to `run`: a name or a path.
        typed_verb: What `runs` was asked to do, as the words that have to be said again for another run: `retry
            --edited`.
    """

    signals: StopSignals = field(default_factory=lambda: StopSignals(hurry))
    typed_store: str | None = None
    typed_script: str | None = None
    typed_verb: tuple[str, ...] = ()

    def hint(self, *words: str) -> str:
        """A command on the same store, as one types it."""
        store = () if self.typed_store is None else ("--store", self.typed_store)
        return shlex.join(["sidestep", *words, *store])

    def hint_for(self, run_id: str) -> str:
        """The same request to `runs` again, for another run."""
        verb, *options = self.typed_verb
        return self.hint("runs", verb, run_id, *options)


pass_invocation = click.make_pass_decorator(Invocation, ensure=True)
