"""A well-behaved CLI agent: its prompt comes on standard input, or as arguments; its report goes to standard output."""

from __future__ import annotations

import os
import sys

print("thinking", file=sys.stderr)
prompt = " ".join(sys.argv[1:]) or sys.stdin.read()
print(f"Done in {os.getcwd()}: {prompt}")
