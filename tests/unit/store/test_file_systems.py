"""C4: which file system a path stands on."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from sidestep.store.file_systems import network_file_system

if TYPE_CHECKING:
    from pathlib import Path

MOUNTS = r"""21 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
22 21 0:20 / /home rw - nfs4 server:/home rw
23 22 8:2 / /home/me/local rw shared:2 master:3 - xfs /dev/sdb1 rw
24 21 0:21 / /mnt/my\040share rw - cifs //server/share rw
25 21 0:22 / /over rw - nfs server:/x rw
26 25 8:3 / /over rw - btrfs /dev/sdc1 rw
broken line
27 21 0:23 / /remote rw - fuse.sshfs me@host:/ rw
"""


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("/var/lib/x.db", None),
        ("/home/me/x.db", "nfs4"),
        ("/homes/x.db", None),
        ("/home/me/local/deep/x.db", None),
        ("/mnt/my share/x.db", "cifs"),
        ("/over/x.db", None),
        ("/remote/x.db", "fuse.sshfs"),
    ],
)
def test_c4_the_deepest_and_latest_mount_decides(tmp_path: Path, path: str, found: str | None) -> None:
    table = tmp_path / "mountinfo"
    table.write_text(MOUNTS)
    assert network_file_system(type(tmp_path)(path), table) == found


def test_c4_a_symlink_is_followed(tmp_path: Path) -> None:
    table = tmp_path / "mountinfo"
    table.write_text(f"1 0 8:1 / / rw - ext4 a rw\n2 1 0:1 / {tmp_path}/net rw - nfs b rw\n")
    os.symlink(tmp_path / "net", tmp_path / "link")
    assert network_file_system(tmp_path / "link" / "x.db", table) == "nfs"


def test_without_a_mount_table_nothing_is_refused(tmp_path: Path) -> None:
    assert network_file_system(tmp_path, tmp_path / "none") is None
