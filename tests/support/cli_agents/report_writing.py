"""A CLI agent that chats on standard output and writes its report to the file named by its first argument."""

from __future__ import annotations

import os
import stat
import sys
from pathlib import Path

path = Path(sys.argv[1])
folder = path.parent
print("chatter")
prompt = sys.stdin.read()
if "nothing" in prompt:
    sys.exit(0)
if "pipe" in prompt:
    os.mkfifo(path)
    sys.exit(0)
if "link" in prompt:
    path.symlink_to("/etc/hostname")
    sys.exit(0)
mode = stat.S_IMODE(folder.stat().st_mode)
path.write_text(f"{mode:o} {os.listdir(folder)} {path}: {prompt}", encoding="utf-8")
