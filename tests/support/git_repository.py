"""Git repositories made on the spot: authors, dates and contents are the test's."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


class GitRepository:
    """
    One repository. Every commit gets the next day's date, so nothing depends on when a test runs.

    Neither the user's nor the system's configuration is read.
    """

    first_day = 1_700_006_400  # 2023-11-15, 00:00 UTC

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.days = 0
        folder.mkdir(parents=True, exist_ok=True)
        self.git("init", "-q", "-b", "main")

    @property
    def environ(self) -> dict[str, str]:
        return {
            "PATH": os.environ["PATH"],
            "HOME": str(self.folder.parent),
            "GIT_CONFIG_GLOBAL": os.devnull,
            "GIT_CONFIG_NOSYSTEM": "1",
        }

    def git(self, *arguments: str, stdin: bytes | None = None, author: str = "Nobody", email: str = "") -> str:
        """What git says, without the line break at its end; what is not UTF-8 replaced."""
        at = f"{self.first_day + self.days * 86400} +0000"
        name = {"NAME": author, "EMAIL": email or f"{author.lower()}@example.org", "DATE": at}
        who = {f"GIT_{role}_{key}": value for role in ("AUTHOR", "COMMITTER") for key, value in name.items()}
        done = subprocess.run(
            ["git", *arguments],
            cwd=self.folder,
            env={**self.environ, **who},
            input=stdin,
            capture_output=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr.decode()
        return done.stdout.decode("utf-8", "replace").removesuffix("\n")

    def commit(
        self,
        author: str,
        contents: dict[str, str | bytes | None] | None = None,
        *,
        moves: dict[str, str] | None = None,
        email: str = "",
    ) -> str:
        """Move files, then write or (None) delete some, and commit; returns the commit's id."""
        for old, new in (moves or {}).items():
            (self.folder / new).parent.mkdir(parents=True, exist_ok=True)
            self.git("mv", old, new)
        for path, content in (contents or {}).items():
            file = self.folder / path
            if content is None:
                file.unlink()
                continue
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content.encode() if isinstance(content, str) else content)
        self.git("add", "--all")
        self.git("commit", "-q", "--allow-empty", "-m", f"day {self.days}", author=author, email=email)
        self.days += 1
        return self.git("rev-parse", "HEAD")

    def fast_commit(self, author: str, contents: list[tuple[str, bytes]]) -> None:
        """
        Commit tens of thousands of files without a file system; the working tree stays empty.

        Through the index: `fast-import` alone takes time that grows with the square of a folder's size.
        """
        marks = {content: mark for mark, content in enumerate(dict.fromkeys(content for _, content in contents), 1)}
        stream = [b"blob\nmark :%d\ndata %d\n%s\n" % (mark, len(content), content) for content, mark in marks.items()]
        self.git("fast-import", "--quiet", "--export-marks=.git/marks", stdin=b"".join(stream))
        lines = (self.folder / ".git" / "marks").read_text("ascii").splitlines()
        blobs = {int(mark[1:]): name for mark, name in (line.split() for line in lines)}
        index = "".join(f"100644 {blobs[marks[content]]}\t{path}\n" for path, content in contents)
        self.git("update-index", "--add", "--index-info", stdin=index.encode())
        self.git("commit", "-q", "-m", f"day {self.days}", author=author)
        self.days += 1
