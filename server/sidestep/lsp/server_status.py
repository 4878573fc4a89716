"""
`workflow/serverStatus`: the host is told when the store stops taking writes, with what to do, and when it is back.

Says nothing while all is well: a host that hears nothing has a server in order.

Invariant: sent only when it is news.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sidestep_protocol.notifications import ServerStatusNotification

if TYPE_CHECKING:
    from collections.abc import Callable

    from sidestep.model.errors import StoreUnavailable


class ServerStatus:
    """
    What the host was told last.

    Args:
        send: Sends a notification.
        active_runs: How many runs are active here.
    """

    def __init__(self, send: Callable[[str, object], object], active_runs: Callable[[], int]) -> None:
        self._send = send
        self._active_runs = active_runs
        # Why the store cannot be used, None while it can.
        self._problem: StoreUnavailable | None = None
        self._has_begun = False

    def begin(self) -> None:
        """The host may be told from now on, also what has been so for a while."""
        self._has_begun = True
        if self._problem is not None:
            self._tell_problem(self._problem)

    def store_is_away(self, why: StoreUnavailable) -> None:
        """It cannot be opened, or takes no writes."""
        is_news = self._problem is None
        self._problem = why
        if is_news:
            self._tell_problem(why)

    def store_is_back(self) -> None:
        if self._problem is not None:
            self._problem = None
            self._tell("ok", "The store works again.")

    def store_changed(self, why_not: StoreUnavailable | None) -> None:
        """As a store's `listen_availability` tells it."""
        if why_not is None:
            self.store_is_back()
        else:
            self.store_is_away(why_not)

    def _tell_problem(self, why: StoreUnavailable) -> None:
        self._tell("error", f"{why.what} {why.todo}")

    def _tell(self, health: str, message: str) -> None:
        if not self._has_begun:
            return
        status = ServerStatusNotification(health=health, active_runs=self._active_runs(), message=message)
        self._send("workflow/serverStatus", status)
