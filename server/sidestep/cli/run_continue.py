"""`sidestep runs continue`: the one verb a person needs to go on with a run, whatever stopped it."""

from __future__ import annotations

from typing import Any

import click

from sidestep.cli.invocation import Invocation, pass_invocation
from sidestep.cli.options import edited_option, following_options, run_id_argument, store_option


@click.command(
    name="continue",
    short_help="Go on with a run that stopped.",
    epilog="""Examples:

\b
  sidestep runs continue last
  sidestep runs continue run_k3 --edited
""",
)
@run_id_argument
@edited_option
@store_option
@following_options
@pass_invocation
def continue_run(invocation: Invocation, **words: Any) -> int:
    """
    Go on with a run that stopped; finished steps are not done again.

    An interrupted run goes on where it was. A failed one does its failed steps again; when the script itself was
    wrong, mend it and say --edited. A completed one prints its result.
    """
    from sidestep.cli.continuing import Continuation, Verb, go_on

    return go_on(Continuation(Verb.CONTINUE, invocation, **words))
