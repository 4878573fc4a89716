"""
A CLI agent that never ends: it and a child of its own ignore TERM, and both hold the pipe `life`.

"up" is written when nothing more is to come.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys

signal.signal(signal.SIGTERM, signal.SIG_IGN)
life = os.open("life", os.O_WRONLY)
child = 'trap "" TERM; echo up >&9; while :; do sleep 1000; done'
with subprocess.Popen(["sh", "-c", f"exec 9>&{life}; {child}"], pass_fds=[life]):
    print("working", flush=True)
    while True:
        sys.stdin.read()
        signal.pause()
