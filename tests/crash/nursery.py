"""
A process that has imported everything and forks armed servers: `python -m tests.crash.nursery SOCKET`.

A sweep starts hundreds of servers, and half of a start is importing. A server born here is a process of its own like
any other: its own threads, descriptors, locks and death; only the importing was done once. The nursery has one thread
and has opened nothing that a server could share but the modules.

For each connection to its socket it forks a warden, which forks the server, tells the connection how it ended, and
kills it when the connection is closed (`launcher.py`, which stands in for the server towards the test, was killed).

It ends with its standard input.
"""

from __future__ import annotations

import importlib
import json
import os
import pkgutil
import select
import signal
import socket
import sys
from typing import NoReturn

from tests.crash import armed_server

# Loaded by the product when first needed.
_LATE = ("pygls.lsp.server", "lsprotocol.types", "pydantic_monty", "jsonschema_rs", "psutil")


def main(path: str) -> None:
    _import_everything()
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(path)
    listener.listen()
    # Wardens are nobody's business any more.
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    while True:
        readable, _, _ = select.select([listener, 0], [], [])
        if 0 in readable:
            return
        connection, _ = listener.accept()
        if os.fork() == 0:
            listener.close()
            _ward(connection)
        connection.close()


def _import_everything() -> None:
    import sidestep

    for module in pkgutil.walk_packages(sidestep.__path__, "sidestep."):
        # Scripts are no modules of ours, and `__main__` would run the program.
        if module.name.startswith(("sidestep.builtin.", "sidestep.cli.demo")) or module.name.endswith("__main__"):
            continue
        importlib.import_module(module.name)
    for name in _LATE:
        importlib.import_module(name)


def _ward(connection: socket.socket) -> NoReturn:
    """Bear one server, see it end, say how."""
    signal.signal(signal.SIGCHLD, lambda *_: None)
    woken, wake = os.pipe()
    os.set_blocking(wake, False)
    signal.set_wakeup_fd(wake)
    request, descriptors, _, _ = socket.recv_fds(connection, 1 << 20, 3)
    wanted = json.loads(request)
    server = os.fork()
    if server == 0:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        for descriptor in connection.detach(), woken, wake:
            os.close(descriptor)
        _serve(wanted, descriptors)
    for descriptor in descriptors:
        os.close(descriptor)
    while True:
        ended, status = os.waitpid(server, os.WNOHANG)
        if ended:
            connection.sendall(json.dumps(status).encode())
            os._exit(0)
        readable, _, _ = select.select([connection, woken], [], [])
        if connection in readable:
            os.kill(server, signal.SIGKILL)
            os._exit(0)
        os.read(woken, 4096)


def _serve(wanted: dict[str, object], descriptors: list[int]) -> NoReturn:
    for number, descriptor in enumerate(descriptors):
        os.dup2(descriptor, number)
        os.close(descriptor)
    os.chdir(str(wanted["cwd"]))
    os.environ.clear()
    os.environ.update(wanted["environ"])  # type: ignore[arg-type]
    code = 70
    try:
        code = armed_server.main(wanted["argv"])  # type: ignore[arg-type]
    finally:
        os._exit(code)


if __name__ == "__main__":
    main(sys.argv[1])
