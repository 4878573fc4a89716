"""`sidestep runs retry`."""

from __future__ import annotations

from typing import Any

import click

from sidestep.cli.invocation import Invocation, pass_invocation
from sidestep.cli.options import edited_option, following_options, run_id_argument, store_option


@click.command(
    short_help="Do the failed steps of a run again.",
    epilog="""Examples:

\b
  sidestep runs retry last
  sidestep runs retry run_k3 --edited
""",
)
@run_id_argument
@edited_option
@store_option
@following_options
@pass_invocation
def retry(invocation: Invocation, **words: Any) -> int:
    """
    Do the failed steps of a run again; finished ones are not.

    When the script itself was wrong, mend it and say --edited, which also goes on with an interrupted run.
    """
    from sidestep.cli.continuing import Continuation, Verb, go_on

    return go_on(Continuation(Verb.RETRY, invocation, **words))
