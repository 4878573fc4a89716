"""
`sidestep serve`: the process around one connection, from its arguments to its exit code.

Reads its own flags: click and rich would be paid for before the first reply. Everything durable is durable before this
module drains; a drain only makes the stop orderly and gives it its reason.

Exit codes: 0 `shutdown` then `exit`; 1 `exit` or end of input without it, or the parent died; 2 usage; 4 stdout broken;
129 / 130 / 143 SIGHUP / SIGINT / SIGTERM after the drain, or at once when a second one comes.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import sys
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import msgspec

from sidestep import logs
from sidestep.cli.file_limit import make_room_for_files
from sidestep.cli.late_application import LateApplication
from sidestep.lsp.bridge import PyglsBridge
from sidestep.lsp.connection import Connection, ConnectionParts
from sidestep.model.abort import AbortKind, AbortReason
from sidestep.rpc.lifecycle import EndCause
from sidestep.rpc.reader import StdinReader
from sidestep.rpc.transport import take_stdin, take_stdout
from sidestep.rpc.writer import Writer
from sidestep.settings import Settings
from sidestep.store.identity import stored_id
from sidestep.store.place import database_path, user_folder
from sidestep.system import VERSION, RandomIds, random_word

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sidestep.app import Application
    from sidestep.lsp.host_offer import HostOffer
    from sidestep.lsp.workflow_side import WorkflowParts

log = logging.getLogger("sidestep.serve")

USAGE = """\
Usage: sidestep serve [--stdio] [--clientProcessId=N] [--store=PATH] [--log-file=PATH] [--log-level=LEVEL]

Speak the workflow protocol (JSON-RPC 2.0 with LSP framing) on stdin and stdout, for the program that starts it.

  --stdio               the only transport, and the default
  --clientProcessId=N   end when process N ends
  --store=PATH          the store's database file (default: SIDESTEP_STORE, else the user's own)
  --log-file=PATH       log there instead of to stderr; past 10 MiB the file becomes PATH.1
  --log-level=LEVEL     error, warning (default), info or debug

Example: an editor starts it as `sidestep serve --stdio` and sends `initialize`.
"""

EXIT_USAGE = 2
EXIT_PARENT_DIED = 1
EXIT_STDOUT_BROKEN = 4
# Of the drain: kept for the last answers, once the runs have stopped or were given up.
_FAREWELL_S = 0.3


class Options(msgspec.Struct):
    """The flags of `serve`."""

    client_process_id: int | None = None
    store: str | None = None
    log_file: str | None = None
    log_level: str = "warning"


class UsageError(Exception):
    """The flags cannot be used; the message says why."""


def read_options(argv: Sequence[str]) -> Options:
    """
    Raises:
        UsageError: an unknown flag, or a value that does not fit.
    """
    options = Options()
    left = list(argv)
    while left:
        name, equals, value = left.pop(0).partition("=")
        if name == "--stdio" and not equals:
            continue
        if name not in ("--clientProcessId", "--store", "--log-file", "--log-level"):
            raise UsageError(f"unknown option {name!r}")
        if not equals:
            if not left:
                raise UsageError(f"{name} needs a value")
            value = left.pop(0)
        _set_option(options, name, value)
    return options


def main(argv: Sequence[str]) -> int:
    """Serve one host on stdin and stdout. Returns the exit code; may end the process itself when it cannot drain."""
    closed = _open_closed_descriptors()
    if 1 in closed:
        _complain("sidestep serve: stdout is closed")
        return EXIT_STDOUT_BROKEN
    if "--help" in argv or "-h" in argv:
        sys.stdout.write(USAGE)
        return 0
    try:
        options = read_options(argv)
        logs.configure(options.log_level, options.log_file)
    except (UsageError, OSError) as error:
        _complain(f"sidestep serve: {error}\n{USAGE}")
        return EXIT_USAGE
    if sys.stdin is not None and sys.stdin.isatty():  # pyright: ignore[reportUnnecessaryComparison] -- without a console
        _complain("sidestep serve speaks JSON-RPC with the program that starts it; Ctrl-D ends it.")
    return asyncio.run(_Server(options).run())


class _Server:
    """One run of `serve`."""

    def __init__(self, options: Options) -> None:
        self._options = options
        # Why, the exit code, and when that was heard, on the loop's clock.
        self._ending: asyncio.Future[tuple[AbortReason, int, float]] | None = None

    async def run(self) -> int:
        loop = asyncio.get_running_loop()
        self._ending = loop.create_future()
        self._heed_signals(loop)
        settings = make_room_for_files(Settings())
        stdin, stdout = take_stdin(), take_stdout()
        writer = Writer(
            stdout,
            queue_bytes_max=settings.outbound_bytes_max,
            on_broken=lambda _: connection.session.end(EndCause.OUTPUT_BROKEN),
        )
        writer.start(loop)
        to_runs = replace(settings, drain_s=settings.drain_s - _FAREWELL_S)
        app = LateApplication(to_runs, self._options.store, os.environ)
        bridge = PyglsBridge(name="sidestep", version=VERSION)
        connection = Connection(_parts(app, self._options.store, settings, bridge), writer)
        reader = StdinReader(stdin, receive=connection.session.receive, end=connection.session.receive_end)
        connection.session.paced_by(reader)
        logging.getLogger().addHandler(connection.host_log)
        reader.start(loop)
        watchers = [
            asyncio.create_task(self._heed_session(connection), name="session"),
            asyncio.create_task(self._watch_parent(settings, connection), name="parent"),
        ]
        reason, exit_code, heard_s = await self._ending
        log.info("draining: %s", reason.detail)
        ends_at = heard_s + settings.drain_s
        # Requests that come meanwhile are read and answered; starts among them are refused.
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout_at(ends_at - _FAREWELL_S / 2):
                await app.close(reason)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout_at(ends_at):
                await connection.session.aclose((ends_at - loop.time()) / 3)
                reader.stop()
                connection.close()
                await writer.aclose(ends_at - loop.time())
                await bridge.aclose()
        for watcher in watchers:
            watcher.cancel()
        return _leave(exit_code)

    def _end(self, reason: AbortReason, exit_code: int, heard_s: float | None = None) -> None:
        """The first cause of the end wins. The drain's time runs from `heard_s`, None for now."""
        assert self._ending is not None, "nothing ends before it runs"
        if not self._ending.done():
            now_s = self._ending.get_loop().time()
            self._ending.set_result((reason, exit_code, now_s if heard_s is None else heard_s))

    def _heed_signals(self, loop: asyncio.AbstractEventLoop) -> None:
        for number in (signal.SIGINT, signal.SIGTERM, getattr(signal, "SIGHUP", None)):
            if number is not None:
                with contextlib.suppress(NotImplementedError):
                    loop.add_signal_handler(number, self._signalled, number)

    def _signalled(self, number: signal.Signals) -> None:
        assert self._ending is not None, "signals are heeded after the start"
        if self._ending.done():
            # Asked twice: what is durable is durable.
            os._exit(128 + number)
        self._end(AbortReason(AbortKind.SHUTDOWN, by=number.name, detail=f"got {number.name}"), 128 + number)

    async def _heed_session(self, connection: Connection) -> None:
        end = await connection.session.wait_ended()
        orderly = end.cause is EndCause.EXIT and end.exit_code == 0
        kind = AbortKind.SHUTDOWN if orderly else AbortKind.CLIENT_GONE
        self._end(AbortReason(kind, by="host", detail=end.cause.value), end.exit_code, end.heard_s)

    async def _watch_parent(self, settings: Settings, connection: Connection) -> None:
        """End when the client's process is gone; a pid that was never visible (a container's) is not watched."""
        pid = self._options.client_process_id or await connection.client_process_id()
        # Imported late: what knows processes is not needed for the initialize reply.
        from sidestep.cli.client_process import ClientProcess

        process = None if pid is None else ClientProcess(pid)
        if process is None or not process.is_visible:
            return
        await process.wait_gone(settings.parent_poll_s)
        self._end(AbortReason(AbortKind.CLIENT_GONE, by="host", detail=f"process {pid} ended"), EXIT_PARENT_DIED)


def _parts(app: LateApplication, store: str | None, settings: Settings, bridge: PyglsBridge) -> ConnectionParts:
    async def load() -> WorkflowParts:
        application = await app.get()
        from sidestep.lsp.workflow_side import WorkflowParts

        return WorkflowParts(
            application.service,
            lambda: app.opened,
            application.library,
            partial(_take_offer, application),
            lambda folder: application.agent_config(folder).warnings,
            application.agent_names,
        )

    database = database_path(store, os.environ)
    return ConnectionParts(
        # In a thread: the disk may be slow.
        stored_id=lambda: asyncio.to_thread(stored_id, database),
        load=load,
        settings=settings,
        versions={"sidestep": VERSION},
        server_epoch=random_word(),
        new_incident_id=RandomIds().incident_id,
        bridge=bridge,
        user_workflows=lambda: os.path.join(user_folder("config"), "workflows"),
    )


def _take_offer(app: Application, offer: HostOffer) -> None:
    app.agent_config.use_session(offer.agents)
    app.can_ask = offer.can_be_asked
    app.host_agents = offer.agent


def _set_option(options: Options, name: str, value: str) -> None:
    match name:
        case "--clientProcessId":
            if not value.isdecimal():
                raise UsageError(f"--clientProcessId takes a process id, not {value!r}")
            options.client_process_id = int(value)
        case "--log-level":
            if value not in logs.LEVELS:
                raise UsageError(f"--log-level takes {', '.join(logs.LEVELS)}, not {value!r}")
            options.log_level = value
        case "--store":
            options.store = value
        case _:
            options.log_file = value


def _open_closed_descriptors() -> set[int]:
    """
    Put the null device where a standard descriptor is closed, so that no file or pipe of ours takes its number.

    Returns:
        Those that were.
    """
    closed: set[int] = set()
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            taken = os.open(os.devnull, os.O_RDWR)
            assert taken == number, "Invariant: the lowest free number is taken"
            os.set_inheritable(number, True)
            closed.add(number)
    return closed


def _complain(text: str) -> None:
    if sys.stderr is not None:  # pyright: ignore[reportUnnecessaryComparison] -- closed, or without a console
        sys.stderr.write(f"{text}\n")


def _leave(exit_code: int) -> int:
    """A thread that sits in `read` or `write` must not keep the process."""
    logging.shutdown()
    os._exit(exit_code)
