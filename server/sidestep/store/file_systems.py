"""
Which file system a path stands on, where the system tells: SQLite's WAL and kernel locks need a local one.

Source: SQLite, "Write-Ahead Logging": all processes using a database must be on the same host; WAL does not work over
a network file system.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

NETWORK_FILE_SYSTEMS = frozenset(
    {
        *("nfs", "nfs4", "cifs", "smb", "smb2", "smb3", "smbfs", "afs", "9p", "ceph", "glusterfs", "lustre", "gpfs"),
        *("ncpfs", "coda", "beegfs", "orangefs", "pvfs2", "davfs", "acfs", "ocfs2", "gfs2", "prl_fs", "vboxsf"),
        *("fuse.sshfs", "fuse.glusterfs", "fuse.davfs", "fuse.davfs2", "fuse.rclone", "fuse.s3fs", "fuse.gcsfuse"),
        *("fuse.vmhgfs-fuse", "drvfs"),
    }
)


def network_file_system(path: str | Path, mount_table: str | Path) -> str | None:
    """
    The name of the network file system `path` stands on, or None when it is local or cannot be told.

    Args:
        path: A file or folder; it need not exist.
        mount_table: `/proc/self/mountinfo`, or a file of its shape; ignored when it cannot be read.
    """
    real = os.path.realpath(path)
    if real.startswith("\\\\"):
        return "UNC path"
    try:
        with open(mount_table, encoding="utf-8", errors="surrogateescape") as table:
            lines = table.read().splitlines()
    except OSError:
        return None
    deepest, found = -1, None
    for line in lines:
        before, separator, after = line.partition(" - ")
        fields = before.split(" ")
        if not separator or len(fields) < 5:
            continue
        mount_point = _unescape(fields[4])
        # A later line hides an earlier one on the same mount point.
        if _stands_in(real, mount_point) and len(mount_point) >= deepest:
            deepest, found = len(mount_point), after.split(" ")[0]
    return found if found in NETWORK_FILE_SYSTEMS else None


def _stands_in(path: str, folder: str) -> bool:
    return folder == "/" or path == folder or path.startswith(folder + "/")


def _unescape(field: str) -> str:
    # Source: proc(5): space, tab, newline and backslash are written as octal escapes.
    for escape, character in (("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")):
        field = field.replace(escape, character)
    return field
