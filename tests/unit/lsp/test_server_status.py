"""`workflow/serverStatus` (C4): told when it is news, and only then."""

from __future__ import annotations

from sidestep.lsp.server_status import ServerStatus
from sidestep.model.errors import StoreUnavailable

AWAY = StoreUnavailable(what="The disk is full.", todo="Make room.")


def test_c4_the_host_hears_once_that_the_store_is_away_and_once_that_it_is_back() -> None:
    sent: list[tuple[str, object]] = []
    status = ServerStatus(lambda method, params: sent.append((method, params)), lambda: 3)
    status.begin()
    status.store_is_back()
    assert sent == []
    status.store_changed(AWAY)
    status.store_is_away(AWAY)
    status.store_changed(None)
    status.store_is_back()
    assert [method for method, _ in sent] == ["workflow/serverStatus"] * 2
    first, second = (params for _, params in sent)
    assert (first.health, first.message, first.active_runs) == ("error", "The disk is full. Make room.", 3)
    assert second.health == "ok"


def test_g8_nothing_is_sent_before_the_host_may_be_told() -> None:
    sent: list[tuple[str, object]] = []
    status = ServerStatus(lambda method, params: sent.append((method, params)), lambda: 0)
    status.store_is_away(AWAY)
    assert sent == []
    status.begin()
    assert len(sent) == 1
