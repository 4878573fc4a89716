"""
Where the user's files are, as strings: the database, and the folders of what Sidestep keeps and what a person writes.

Invariant: nothing that costs time is imported here: `serve` needs the database's path for its initialize reply.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping

STORE_VARIABLE = "SIDESTEP_STORE"
DATABASE_NAME = "sidestep.db"
# Source: XDG Base Directory Specification: the variable, and what stands for it below the home folder.
_XDG = {"state": ("XDG_STATE_HOME", ".local/state"), "config": ("XDG_CONFIG_HOME", ".config")}


def database_path(explicit: str | os.PathLike[str] | None, environment: Mapping[str, str]) -> str:
    """
    The database to use, absolute: an explicit path, else `SIDESTEP_STORE`, else the one in the user's state folder.

    Args:
        explicit: What `--store` named; it need not exist yet; relative to the working folder.
        environment: The process's environment.
    """
    named = explicit or environment.get(STORE_VARIABLE)
    if named:
        # Symbolic links are kept, and `..` after them: the person named this path, and messages repeat it.
        return os.path.join(os.getcwd(), os.path.expanduser(named))
    return os.path.join(user_folder("state"), DATABASE_NAME)


def user_folder(kind: Literal["state", "config"]) -> str:
    """Sidestep's folder for what it keeps (`state`) or for what a person writes (`config`), of the user who runs us."""
    variable, below_home = _XDG[kind]
    if sys.platform == "linux" and "ANDROID_ROOT" not in os.environ:
        # By hand, as the specification has it: platformdirs takes 10 ms and 2 MiB for the same answer.
        named, home = os.environ.get(variable, ""), os.environ.get("HOME", "")
        if os.path.isabs(named):
            return os.path.join(named, "sidestep")
        if os.path.isabs(home):
            return os.path.join(home, below_home, "sidestep")
    import platformdirs

    found = platformdirs.user_state_dir if kind == "state" else platformdirs.user_config_dir
    return found("sidestep", appauthor=False)
