"""
Runs checks, one after the other.

Owns the kit's folder, the shared server and the bound on each check's time. Knows no clause.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import tempfile
import time
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING

from sidestep_protocol.conformance.check import CheckFailed, CheckSkipped
from sidestep_protocol.conformance.trial import Setting, SharedServer, Trial

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from sidestep_protocol.conformance.check import Check

# The longest a check takes, with a patience of 1.
CHECK_S = 60.0


class Verdict(Enum):
    """How a check ended."""

    PASSED = "passed"
    FAILED = "failed"
    SKIPPED = "skipped"


@dataclass(frozen=True)
class Outcome:
    """
    Attributes:
        why: Of a skipped check.
        expected, seen: Of a failed one.
        messages: The messages around the failure, for people.
    """

    check: Check
    group: str
    verdict: Verdict
    seconds: float
    why: str = ""
    expected: str = ""
    seen: str = ""
    messages: list[str] = field(default_factory=list[str])


async def run_checks(
    groups: Mapping[str, Sequence[Check]],
    command: Sequence[str],
    *,
    patience: float = 1.0,
    tell: Callable[[Outcome], None] = lambda _: None,
) -> list[Outcome]:
    """
    Run all checks of these groups.

    Args:
        tell: Called after each check.
    """
    home = _new_home()
    setting = Setting(command, home, patience)
    shared = SharedServer(setting)
    outcomes: list[Outcome] = []
    try:
        for group, checks in groups.items():
            for check in checks:
                outcomes.append(await _run_check(check, group, setting, shared))
                tell(outcomes[-1])
    finally:
        await shared.close()
        shutil.rmtree(home, ignore_errors=True)
    return outcomes


def _new_home() -> Path:
    """An empty folder, by its real path."""
    return Path(os.path.realpath(tempfile.mkdtemp(prefix="conformance-")))


async def _run_check(check: Check, group: str, setting: Setting, shared: SharedServer) -> Outcome:
    began = time.monotonic()
    trial = Trial(check, setting, shared)
    limit_s = CHECK_S * setting.patience
    failed: CheckFailed | None = None
    why = ""
    messages: list[str] = []
    try:
        async with asyncio.timeout(limit_s):
            await check.run(trial)
    except CheckSkipped as skipped:
        why = str(skipped)
    except CheckFailed as failure:
        failed = failure
    except TimeoutError:
        failed = CheckFailed("a check that ends", f"not within {limit_s:g} s")
    except (KeyError, IndexError, TypeError, AttributeError, ValueError) as problem:
        # An answer without the fields it has to have.
        failed = CheckFailed("messages of the contract's shape", f"{type(problem).__name__}: {problem}")
    finally:
        if failed is not None:
            messages = trial.transcript()
        await trial.close(has_failed=failed is not None)
    seconds = time.monotonic() - began
    if failed is not None:
        return Outcome(check, group, Verdict.FAILED, seconds, "", failed.expected, failed.seen, messages)
    return Outcome(check, group, Verdict.SKIPPED if why else Verdict.PASSED, seconds, why)
