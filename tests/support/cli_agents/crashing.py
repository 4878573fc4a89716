"""A CLI agent that says why on standard error, at length, and ends with exit code 3."""

from __future__ import annotations

import sys

sys.stdin.read()
print("working on it")
print("noise\n" * 2000, file=sys.stderr)
print("Invalid API key: log in first", file=sys.stderr)
sys.exit(3)
