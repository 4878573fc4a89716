"""
A command that must never run twice at once: `python -I -S holder.py NAME` (F4).

It appends NAME to `calls`, as every step of the crash workflow does, and a grandchild, which ignores TERM, holds a lock
on `NAME.lock` until the command is done. When the sidecar dies meanwhile, the leader goes and the grandchild stays, far
longer than any test: a process group without its leader, which whoever takes the run over has to end first. Who finds
the lock taken writes NAME into `overlaps`.
"""

import fcntl
import os
import select
import signal
import sys
import time

ORPHAN_S = 20.0
WORK_S = 0.06
# A killed process lets its lock go when the kernel has taken it apart, a moment after the signal.
PATIENCE_S = 0.5


def main(name: str) -> None:
    sidecar = os.getppid()
    lock = os.open(f"{name}.lock", os.O_RDWR | os.O_CREAT, 0o600)
    with open("calls", "a") as calls:
        calls.write(f"{name}\n")
    if not taken(lock):
        with open("overlaps", "a") as overlaps:
            overlaps.write(f"{name}\n")
        return
    read_end, write_end = os.pipe()
    if os.fork() == 0:
        os.close(write_end)
        hold(read_end)
    os.close(lock)
    os.close(read_end)
    ends_at = time.monotonic() + WORK_S
    while time.monotonic() < ends_at:
        time.sleep(0.005)
        if os.getppid() != sidecar:
            # The sidecar is gone. The grandchild sees the pipe end without a word, and stays.
            return
    os.write(write_end, b"done")
    os.wait()


def taken(lock: int) -> bool:
    ends_at = time.monotonic() + PATIENCE_S
    while time.monotonic() < ends_at:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(0.01)
        else:
            return True
    return False


def hold(read_end: int) -> None:
    """The grandchild: it has inherited the lock."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if os.read(read_end, 4) != b"done":
        # Nobody reads what it would say, and nobody is to wait for the end of its streams.
        select.select([], [], [], ORPHAN_S)
    os._exit(0)


main(sys.argv[1])
