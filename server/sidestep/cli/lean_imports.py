"""
Modules imported without parts that they can do without, for a process that many windows keep open all day.

Each of them imports these parts if there are any, and works without; what that saves stands in the table. Whoever
imports such a part itself gets it as ever. Only the module named does without it in this process: asyncio makes no TLS
connections, and `shutil` neither packs nor unpacks archives.

Invariant: this module imports nothing that imports any of them.
"""

from __future__ import annotations

import importlib
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import ModuleType

_DISPENSABLE = {
    # OpenSSL's two libraries: a tenth of the time to the initialize reply, and 4 MiB.
    "asyncio": ("ssl",),
    # Names that the standard library has by now: 1 % of that time, and 150 KiB.
    "msgspec": ("typing_extensions",),
    # What archives are packed with: 450 KiB.
    "shutil": ("bz2", "lzma", "zlib"),
}


def import_lean(*names: str) -> None:
    """Import these modules. One that somebody has imported, or whose parts somebody has, is imported as ever."""
    modules: dict[str, ModuleType | None] = sys.modules  # pyright: ignore[reportAssignmentType] -- None is meant
    for name in names:
        parts = _DISPENSABLE[name]
        hidden = [] if name in modules else [part for part in parts if part not in modules]
        try:
            # Source: Python reference, "The module cache": None stands for a module that cannot be found.
            modules.update(dict.fromkeys(hidden))
            importlib.import_module(name)
        finally:
            for part in hidden:
                del modules[part]
