"""
asyncio without TLS, for a process that speaks to pipes, files and children only.

asyncio imports `ssl` if there is one, and works without. Loading OpenSSL's two libraries for it takes a tenth of the
time to the initialize reply and 4 MiB. Whoever imports `ssl` itself gets it as ever; only asyncio's own TLS connections
cannot be made in this process.

Invariant: this module imports nothing that imports asyncio.
"""

from __future__ import annotations

import importlib
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import ModuleType


def import_asyncio_without_tls() -> None:
    """Import asyncio; nothing when somebody has, or has `ssl`: then it is paid for."""
    if "asyncio" in sys.modules or "ssl" in sys.modules:
        return
    # Source: Python reference, "The module cache": None stands for a module that cannot be found.
    modules: dict[str, ModuleType | None] = sys.modules  # pyright: ignore[reportAssignmentType] -- as it says
    modules["ssl"] = None
    try:
        importlib.import_module("asyncio")
    finally:
        del sys.modules["ssl"]
