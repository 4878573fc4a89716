"""
How many files this process may have open, raised at start to what `active_runs_max` runs need (X4).

Shells give 256 to 1024; a waiting run alone takes three. The limit is raised as far as needed and no further: commands
inherit it, and programs that close or prepare for every possible descriptor crawl under limits of a million and more.
"""

from __future__ import annotations

import contextlib
import logging
from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sidestep.settings import Settings

log = logging.getLogger("sidestep.files")

# A sandbox worker's two pipes and the handle of its process.
_FILES_PER_RUN = 3
# A command's gate and three pipes, with both ends open while it is started.
_FILES_PER_COMMAND = 8
# Standard streams, the event loop, the store with its log and readers, locks, files being read, and air.
_FILES_OF_THE_PROCESS = 256


def make_room_for_files(settings: Settings) -> Settings:
    """
    Raise the soft limit on open files to what the settings need, as far as the hard limit lets us.

    Returns:
        The settings to go on with. When the hard limit is too low, fewer active runs, with a warning in the log: the
        start past them is refused as overloaded, instead of runs failing in the middle for want of a descriptor.
    """
    try:
        import resource
    except ImportError:
        # Windows has no such limit.
        return settings
    needed = files_needed(settings, settings.active_runs_max)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if _allows(soft, needed):
        return settings
    # Some systems refuse what is above a limit of the kernel's own, although the hard limit says infinity.
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (needed if _allows(hard, needed) else hard, hard))
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if _allows(soft, needed):
        return settings
    runs = max(1, (soft - files_needed(settings, 0)) // _FILES_PER_RUN)
    log.warning(
        "this process may open %d files, and %d active runs need %d: at most %d runs will be active at once; "
        "raise the hard limit on open files (ulimit -Hn) to at least %d",
        soft,
        settings.active_runs_max,
        needed,
        runs,
        needed,
    )
    return replace(settings, active_runs_max=runs)


def files_needed(settings: Settings, active_runs: int) -> int:
    """How many files a process with so many active runs may have open at once."""
    runs = (active_runs + settings.sandbox_free_workers_max) * _FILES_PER_RUN
    return runs + settings.commands_running_max * _FILES_PER_COMMAND + _FILES_OF_THE_PROCESS


def _allows(limit: int, files: int) -> bool:
    import resource

    return limit == resource.RLIM_INFINITY or limit >= files
