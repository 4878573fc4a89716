"""`sidestep runs resume`."""

from __future__ import annotations

from typing import Any

import click

from sidestep.cli.invocation import Invocation, pass_invocation
from sidestep.cli.options import following_options, run_id_argument, store_option


@click.command(short_help="Go on with an interrupted run.", epilog="Example: sidestep runs resume last --deadline 15m")
@run_id_argument
@store_option
@following_options
@pass_invocation
def resume(invocation: Invocation, **words: Any) -> int:
    """
    Go on with an interrupted run where it was; finished steps are not done again.

    A step that failed fails again with the error it had, and the script goes the same way. A completed run prints its
    result.
    """
    from sidestep.cli.continuing import Continuation, Verb, go_on

    return go_on(Continuation(Verb.RESUME, invocation, **words))
