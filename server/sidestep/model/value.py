"""
The base of what is only data, once made: requests, answers, writes, what was read of a script.

Structs of msgspec rather than frozen dataclasses: Python generates a dataclass's methods each time its module is
imported, 40 times the time a struct takes, and whoever waits for a process to start waited for a hundred of them.
"""

from __future__ import annotations

import msgspec


class Value(msgspec.Struct, frozen=True):
    """Compared and hashed by its fields, and never changed. A subclass says `frozen=True` again, for type checkers."""
