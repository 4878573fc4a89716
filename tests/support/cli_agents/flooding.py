"""A CLI agent that prints as many bytes as its first argument says; in a second one, to that file."""

from __future__ import annotations

import sys

size = int(sys.argv[1])
if len(sys.argv) > 2:
    with open(sys.argv[2], "wb") as file:
        file.write(b"x" * size)
else:
    sys.stdout.buffer.write(b"x" * size)
