"""The log's warnings and errors, as a host sees them."""

from __future__ import annotations

import asyncio
import logging
import threading
from typing import Any

from sidestep.lsp.host_log import MESSAGES_MAX, PERIOD_S, REPEAT_S, TEXT_CHARS_MAX, HostLog
from sidestep.rpc.transport import Lane

log = logging.getLogger("tests.host_log")


class Host:
    """A host log on a logger of its own."""

    def __init__(self) -> None:
        self.now_s = 1000.0
        self.told: list[dict[str, Any]] = []
        self.log_while_telling = False
        self.handler = HostLog(self._send, loop=asyncio.get_running_loop(), monotonic=lambda: self.now_s)
        self.handler.open()
        log.handlers[:] = [self.handler]
        log.propagate = False
        log.setLevel(logging.DEBUG)

    def _send(self, method: str, params: object, lane: Lane) -> bool:
        assert (method, lane) == ("window/logMessage", Lane.DROPPABLE)
        assert isinstance(params, dict)
        self.told.append(params)
        if self.log_while_telling:
            log.error("the host does not read %d", len(self.told))
        return True

    async def messages(self) -> list[str]:
        await asyncio.sleep(0)
        return [params["message"] for params in self.told]


async def test_warnings_and_errors_are_told_with_their_type_and_nothing_below_them() -> None:
    host = Host()
    log.info("chatter")
    log.warning("the store is %s", "away")
    log.error("broken")
    assert await host.messages() == ["tests.host_log: the store is away", "tests.host_log: broken"]
    assert [params["type"] for params in host.told] == [2, 1]


async def test_nothing_is_told_before_it_is_opened_and_early_records_then() -> None:
    host = Host()
    host.handler = HostLog(host._send, loop=asyncio.get_running_loop(), monotonic=lambda: host.now_s)
    log.handlers[:] = [host.handler]
    log.warning("early")
    assert await host.messages() == []
    host.handler.open()
    assert await host.messages() == ["tests.host_log: early"]


async def test_a_traceback_stays_in_the_log() -> None:
    host = Host()
    try:
        raise KeyError("secret")
    except KeyError:
        log.exception("it failed")
    (text,) = await host.messages()
    assert text == "tests.host_log: it failed (KeyError; the server's log has more)"


async def test_what_is_logged_while_telling_is_not_told() -> None:
    host = Host()
    host.log_while_telling = True
    log.warning("once")
    assert await host.messages() == ["tests.host_log: once"]
    assert len(await host.messages()) == 1


async def test_records_of_other_threads_are_told_on_the_loop() -> None:
    host = Host()
    thread = threading.Thread(target=lambda: log.warning("from afar"))
    thread.start()
    thread.join()
    assert await host.messages() == ["tests.host_log: from afar"]


async def test_the_same_text_is_told_again_only_after_a_while() -> None:
    host = Host()
    for later_s in (0.0, REPEAT_S - 0.1, 0.2):
        host.now_s += later_s
        log.warning("it waits for its store")
    assert len(await host.messages()) == 2


async def test_a_flood_is_cut_and_counted() -> None:
    host = Host()
    for number in range(MESSAGES_MAX + 7):
        log.warning("number %d", number)
    assert len(await host.messages()) == MESSAGES_MAX
    host.now_s += PERIOD_S
    log.warning("and then")
    text = (await host.messages())[-1]
    assert text == "tests.host_log: and then (7 more before it are in the server's log)"


async def test_long_texts_and_records_that_do_not_fit_are_told_all_the_same() -> None:
    host = Host()
    log.warning("x" * 10 * TEXT_CHARS_MAX)
    log.handle(logging.LogRecord("odd", logging.WARNING, "", 0, "%d of %s", ("one",), None))
    long, odd = await host.messages()
    assert len(long) < TEXT_CHARS_MAX + 10
    assert odd == "odd: %d of %s"
