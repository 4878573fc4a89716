"""Every check there is, by group, in the order they are run. Knows no server."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sidestep_protocol.conformance import (
    bodies,
    cancellation,
    durability,
    endings,
    framing,
    lifecycle,
    ordering,
    recovery,
    refusals,
    robustness,
    subscriptions,
    withdrawals,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sidestep_protocol.conformance.check import Check

GROUPS: dict[str, tuple[Check, ...]] = {
    "lifecycle": (*lifecycle.CHECKS, *endings.CHECKS),
    "framing": (*framing.CHECKS, *bodies.CHECKS),
    "cancellation": (*cancellation.CHECKS, *withdrawals.CHECKS),
    "ordering": (*ordering.CHECKS, *subscriptions.CHECKS),
    "robustness": (*robustness.CHECKS, *refusals.CHECKS),
    "durability": (*durability.CHECKS, *recovery.CHECKS),
}


def choose(only: Sequence[str]) -> tuple[dict[str, list[Check]], list[str]]:
    """
    The checks that are wanted.

    Args:
        only: Groups and ids of checks; all checks when there are none.

    Returns:
        The checks by group, and the words that name nothing.
    """
    known = {*GROUPS, *(check.id for checks in GROUPS.values() for check in checks)}
    chosen = {
        group: [check for check in checks if not only or group in only or check.id in only]
        for group, checks in GROUPS.items()
    }
    return chosen, [word for word in only if word not in known]
