"""
The command line: `python -m sidestep_protocol.conformance [--only GROUP] [--json] [--patience N] -- COMMAND ...`.

Exit codes: 0 every check passed or was skipped, 1 one failed, 2 usage.
"""

from __future__ import annotations

import argparse
import asyncio
import sys

from sidestep_protocol.conformance import report
from sidestep_protocol.conformance.catalogue import GROUPS, choose
from sidestep_protocol.conformance.running import Outcome, Verdict, run_checks

_USAGE = "python -m sidestep_protocol.conformance [--only GROUP] [--json] [--patience N] -- COMMAND ..."


def main(arguments: list[str]) -> int:
    """Run the kit; returns the exit code."""
    ours, command = _split(arguments)
    parser = argparse.ArgumentParser(
        prog="python -m sidestep_protocol.conformance",
        usage=_USAGE,
        description="Check that the server COMMAND starts keeps the Sidestep protocol.",
        epilog="Groups: " + ", ".join(GROUPS) + ". Exit code: 0 all kept, 1 something is not, 2 usage.",
    )
    parser.add_argument(
        "--only",
        action="append",
        default=[],
        metavar="GROUP",
        help="run this group, or the check of this id (repeatable)",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object at the end instead of the table")
    parser.add_argument("--patience", type=float, default=1.0, metavar="N", help="multiply every time limit (1)")
    parser.add_argument("--list", action="store_true", help="list the checks and run none")
    options = parser.parse_args(ours)
    chosen, unknown = choose(options.only)
    if unknown:
        parser.error(f"there is no group and no check called {', '.join(unknown)}")
    if options.list:
        for group, checks in chosen.items():
            for check in checks:
                print(f"{group:<12}  {check.clause:<22}  {check.id}: {check.sentence}")
        return 0
    if not command:
        parser.error("the server's command is missing: put it behind --")
    if options.patience <= 0:
        parser.error("--patience is a number above 0")
    tell = _pass_over if options.json else _print_line
    outcomes = asyncio.run(run_checks(chosen, command, patience=options.patience, tell=tell))
    print(report.json_of(outcomes) if options.json else f"\n{report.summary_of(outcomes)}")
    return 1 if any(outcome.verdict is Verdict.FAILED for outcome in outcomes) else 0


def _split(arguments: list[str]) -> tuple[list[str], list[str]]:
    """Our arguments, and the command behind `--`, which keeps every option of its own."""
    if "--" not in arguments:
        return arguments, []
    at = arguments.index("--")
    return arguments[:at], arguments[at + 1 :]


def _print_line(outcome: Outcome) -> None:
    print(report.line_of(outcome), flush=True)


def _pass_over(outcome: Outcome) -> None:
    """Told at the end instead."""


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
