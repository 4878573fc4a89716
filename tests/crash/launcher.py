"""
Stands in for an armed server towards whoever spawned it: `python -I -S launcher.py SOCKET ARGUMENT...`.

Hands its own standard descriptors, environment and folder to the nursery, waits for the server born there, and ends as
it ended. Needs nothing but the standard library, because starting it has to be cheap.
"""

import json
import os
import signal
import socket
import sys


def main() -> None:
    wanted = {"argv": sys.argv[2:], "environ": dict(os.environ), "cwd": os.getcwd()}
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connection.connect(sys.argv[1])
    socket.send_fds(connection, [json.dumps(wanted).encode()], [0, 1, 2])
    # The pipes are the server's alone: their other ends see its death.
    null = os.open(os.devnull, os.O_RDWR)
    for number in range(3):
        os.dup2(null, number)
    status = json.loads(connection.recv(64))
    if os.WIFSIGNALED(status):
        os.kill(os.getpid(), signal.Signals(os.WTERMSIG(status)))
    os._exit(os.WEXITSTATUS(status))


main()
