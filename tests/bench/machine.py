"""What a benchmark ran on: nothing that names the machine or a place on it."""

from __future__ import annotations

import os
import platform
import sqlite3
from importlib.metadata import version
from typing import Any

from sidestep.system import VERSION

_PACKAGES = ("pydantic-monty-client", "msgspec", "pygls")


def machine() -> dict[str, Any]:
    return {
        "cores": os.cpu_count(),
        "memoryGiB": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30),
        "system": f"{platform.system()} {platform.release().split('-')[0]}, {platform.machine()}",
        "python": platform.python_version(),
        "sqlite": sqlite3.sqlite_version,
    }


def own_versions() -> dict[str, str]:
    return {"sidestep": VERSION, **{name: version(name) for name in _PACKAGES}}
