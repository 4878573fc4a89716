"""
The repository the demo reports on: the one it stands in, or a small one made for it where there is none.

Never writes into a repository that was there before.
"""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

GIT_S_MAX = 30

_AUTHORS = ("Ada", "Grace", "Linus")
_TIDES = "import math\n\n{note}\n\ndef height(hour):\n    return math.sin(hour / 6.2)\n"
_HARBOURS = "HARBOURS = [{names}]\n# TODO: read them from a file\n"
_TEST = "from {module} import {name}\n\n\ndef test_{name}():\n    assert {claim}\n"
# What each commit writes: path -> text; authors take turns.
_COMMITS: tuple[tuple[str, dict[str, str]], ...] = (
    ("Begin", {"README.md": "# Tides\n", "src/tides.py": "def height(hour):\n    return 0.0\n"}),
    ("Model the tide", {"src/tides.py": _TIDES.format(note="")}),
    ("Test it", {"tests/test_tides.py": _TEST.format(module="tides", name="height", claim="height(0) == 0")}),
    (
        "Add harbours",
        {
            "src/harbours.py": _HARBOURS.format(names="'Brest', 'Oban'"),
            "src/tides.py": _TIDES.format(note="# FIXME: the moon is not that regular"),
        },
    ),
    ("Tell how to run it", {"README.md": "# Tides\n\nRun `python -m tides Brest`.\n"}),
    (
        "Add Sydney",
        {
            "src/harbours.py": _HARBOURS.format(names="'Brest', 'Oban', 'Sydney'"),
            "tests/test_harbours.py": _TEST.format(module="harbours", name="HARBOURS", claim="'Oban' in HARBOURS"),
        },
    ),
)
_FIRST_DAY = 1_700_000_000
_DAY_S = 86_400


class GitMissing(Exception):
    """The demo cannot be shown without git; the message says what to do."""


@dataclass(frozen=True)
class DemoRepository:
    """
    Attributes:
        folder: Its top folder.
        made_because: Why it was made for the demo; None for one that was there.
    """

    folder: Path
    made_because: str | None = None


def find_or_make(start: Path, place: Path) -> DemoRepository:
    """
    The repository around `start`, if it has a commit; else one made inside `place`.

    Raises:
        GitMissing: there is no git.
    """
    top = _git(start, "rev-parse", "--show-toplevel")
    if top.returncode != 0:
        said = top.stderr.strip().splitlines()
        why = "git cannot use the repository here" if "dubious ownership" in top.stderr else "this is no git repository"
        if said and "not a git repository" not in said[0]:
            why += f" ({said[0]})"
        return _make(place, why)
    folder = Path(top.stdout.rstrip("\n"))
    if _git(folder, "rev-parse", "--verify", "--quiet", "HEAD^{commit}").returncode != 0:
        return _make(place, "the repository here has no commits yet")
    return DemoRepository(folder)


def _make(place: Path, why: str) -> DemoRepository:
    folder = place / "tides"
    folder.mkdir()
    _must(_git(folder, "init", "--quiet"))
    for number, (message, files) in enumerate(_COMMITS):
        for name, text in files.items():
            path = folder / name
            path.parent.mkdir(exist_ok=True)
            path.write_text(text, encoding="utf-8")
        author = _AUTHORS[number % len(_AUTHORS)]
        _must(_git(folder, "add", "--all"))
        _must(_git(folder, "commit", "--quiet", "--no-verify", "--message", message, author=author, day=number * 40))
    return DemoRepository(folder, why)


def _git(folder: Path, *words: str, author: str = "Ada", day: int = 0) -> subprocess.CompletedProcess[str]:
    """One git command that no settings of the user's can change; those of a repository that is there count."""
    when = f"{_FIRST_DAY + day * _DAY_S} +0000"
    person = {"NAME": author, "EMAIL": f"{author.lower()}@example.org", "DATE": when}
    environ = {
        **os.environ,
        **{f"GIT_{role}_{word}": value for role in ("AUTHOR", "COMMITTER") for word, value in person.items()},
        "LC_ALL": "C",
    }
    if words[0] != "rev-parse":
        environ |= {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}
    try:
        return subprocess.run(
            ["git", *words], cwd=folder, env=environ, capture_output=True, text=True, timeout=GIT_S_MAX, check=False
        )
    except FileNotFoundError as error:
        raise GitMissing("The demo needs git, and it is not on PATH. On Debian: apt install git") from error


def _must(done: subprocess.CompletedProcess[str]) -> None:
    if done.returncode != 0:
        raise GitMissing(f"git could not make a repository: {done.stderr.strip()}")
