"""
Trying a patch out beside the working tree, and preparing the change that it comes to.

The files a patch names are put into an index of our own as they are on disk; git applies or merges the patch there, and
what differs is written out. Line ends and filters (autocrlf, LFS) are thereby git's affair in both directions.

Knows no locks and no outcomes: `patches.py` calls it under the repository's lock. Reads the working tree, writes only
below its own folder.
"""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sidestep.executors import tree_change
from sidestep.executors.durable_files import in_thread, sync_file
from sidestep.executors.git import GitFailed
from sidestep.executors.patch_files import split_sections
from sidestep.executors.tree_change import FileChange, Intent, NotPlain

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from sidestep.executors.git import Git, GitOutput
    from sidestep.executors.patch_files import Section
    from sidestep.executors.tree_change import FileState
    from sidestep.executors.work_tree import WorkTree
    from sidestep.model.abort import AbortSignal

# Paths in one command line; far below every system's limit of its length.
_ARGUMENTS_MAX = 500


class PathsUnknown(Exception):
    """A path was asked for that the patch does not have."""


@dataclass(frozen=True)
class Conflict:
    """Why one file keeps a patch from being applied; `path` is relative to the working tree's top."""

    path: str
    reason: str


class PatchTrial:
    """
    One patch, once.

    Args:
        preparation: A folder as `tree_change.make_preparation` makes it.
    """

    def __init__(
        self, git: Git, work_tree: WorkTree, preparation: Path, signal: AbortSignal, *, three_way: bool
    ) -> None:
        self._git = git
        self._work_tree = work_tree
        self._folder = preparation
        self._signal = signal
        self._three_way = three_way
        self._index = preparation / "index"
        self._before: dict[str, FileState | None] = {}

    async def run(self, content: bytes, paths: Sequence[str] | None, told: dict[str, Any]) -> Intent | list[Conflict]:
        """
        Prepare what the patch comes to.

        Args:
            paths: Files or folders to take, relative to the workspace folder; None for all.
            told: Goes into the intent.

        Returns:
            The intent, its images prepared; or every conflict there is.

        Raises:
            PathsUnknown, Aborted, GitMissing, GitFailed, OSError.
        """
        sections = self._choose(await self._sections(content), paths)
        conflicts = await in_thread(self._look, sections)
        if conflicts:
            return conflicts
        await self._fill_index(sections)
        entries = await self._entries()
        conflicts = await self._merge(sections)
        if conflicts:
            return conflicts
        changed = _differing(entries, await self._entries(), sections)
        await self._write_out([path for path, after in changed.items() if after is not None])
        return await in_thread(self._intent, changed, entries, told)

    async def _sections(self, content: bytes) -> list[Section]:
        if not content:
            return []
        listed = await self._run("apply", "--numstat", "-z", "-", stdin=content)
        names = [os.fsdecode(item.split(b"\t", 2)[2]) for item in listed.items]
        return split_sections(content, names)

    def _choose(self, sections: list[Section], paths: Sequence[str] | None) -> list[Section]:
        if paths is None:
            return sections
        chosen: set[str] = set()
        for path in paths:
            wanted = os.path.normpath(self._work_tree.prefix + path)
            found = {one.path for one in sections if one.path == wanted or one.path.startswith(wanted + "/")}
            if wanted == os.curdir:
                found = {one.path for one in sections}
            if not found:
                raise PathsUnknown(f"paths: the patch changes no {path!r}")
            chosen |= found
        return [section for section in sections if section.path in chosen]

    def _look(self, sections: list[Section]) -> list[Conflict]:
        """In a thread: what forbids the patch before git is asked; saves what stands there as the images before."""
        conflicts: list[Conflict] = []
        gone = {section.path for section in sections if section.deletes}
        for number, section in enumerate(sections):
            reason = self._why_not(section, gone)
            if reason is None:
                try:
                    self._before[section.path] = self._save(number, section, gone)
                except NotPlain as error:
                    reason = str(error)
            if reason is not None:
                conflicts.append(Conflict(section.path, reason))
        return conflicts

    def _why_not(self, section: Section, gone: set[str]) -> str | None:
        path = section.path
        if not section.is_regular:
            return "a patch may change regular files only, and this is a symbolic link or a submodule"
        if os.path.isabs(path) or os.path.normpath(path) != path or not path.startswith(self._work_tree.prefix):
            return "it lies outside the workspace folder"
        parent = os.path.dirname(path)
        while parent:
            if os.path.isfile(os.path.join(self._work_tree.top, parent)) and parent not in gone:
                return f"{os.path.basename(parent)} is a file, and the patch needs a folder of that name"
            parent = os.path.dirname(parent)
        return None

    def _save(self, number: int, section: Section, gone: set[str]) -> FileState | None:
        top = self._work_tree.top
        full = os.path.join(top, section.path)
        if section.makes and os.path.isdir(full) and not os.path.islink(full):
            below = [os.path.join(parent, name) for parent, _, names in os.walk(full) for name in names]
            if below and all(os.path.relpath(file, top).replace(os.sep, "/") in gone for file in below):
                # The folder goes with its files.
                return None
        return tree_change.save_image(top, section.path, self._folder / "before" / f"{number}.found")

    async def _fill_index(self, sections: list[Section]) -> None:
        """Our index: the user's entries of these paths, brought to what is on disk."""
        await in_thread((self._folder / "objects").mkdir)
        paths = list(dict.fromkeys(section.path for section in sections))
        for start in range(0, len(paths), _ARGUMENTS_MAX):
            # From the user's index: what git makes of line ends depends on what it has had before.
            command = ("ls-files", "--stage", "-z", "--", *paths[start : start + _ARGUMENTS_MAX])
            known = await self._git.run(*command, cwd=self._work_tree.top, signal=self._signal, env=self._work_tree.env)
            await self._run("update-index", "-z", "--index-info", stdin=known.stdout)
        await self._update_index("--force-remove", [path for path in paths if self._before[path] is None])
        await self._update_index("--add", [path for path in paths if self._before[path] is not None])

    async def _update_index(self, option: str, paths: list[str]) -> None:
        if paths:
            names = b"".join(os.fsencode(path) + b"\0" for path in paths)
            await self._run("update-index", option, "-z", "--stdin", stdin=names)

    async def _entries(self) -> dict[str, tuple[bytes, bytes]]:
        """Path to (mode, blob) of our index."""
        listed = await self._run("ls-files", "--stage", "-z")
        entries: dict[str, tuple[bytes, bytes]] = {}
        for item in listed.items:
            facts, path = item.split(b"\t", 1)
            mode, blob, _ = facts.split(b" ")
            entries[os.fsdecode(path)] = (mode, blob)
        return entries

    async def _merge(self, sections: list[Section]) -> list[Conflict]:
        """Apply the sections to our index; on conflicts the index is of no use any more."""
        if not sections:
            return []
        start = self._folder / "index.start"
        await in_thread(_copy_if_there, self._index, start)
        failed = await self._apply(sections)
        if failed is None:
            return []
        unmerged = await self._run("ls-files", "--unmerged", "-z")
        names = {os.fsdecode(item.split(b"\t", 1)[1]) for item in unmerged.items}
        if not names:
            names = {section.path for section in await self._failing(sections, start)}
        if not names:
            raise failed
        return [Conflict(one.path, self._reason(one)) for one in sections if one.path in names]

    async def _failing(self, sections: list[Section], start: Path) -> list[Section]:
        """Those that do not apply by themselves."""
        # A file where a folder was, or the other way round, can be made only after something is deleted.
        needs = {one.path: [two for two in sections if two.deletes and _collide(one, two)] for one in sections}
        failing = await self._halve([one for one in sections if not needs[one.path]], start)
        for section in sections:
            needed = needs[section.path]
            if needed and not any(one in failing for one in needed):
                await in_thread(_copy_if_there, start, self._index)
                if await self._apply([*needed, section]) is not None:
                    failing.append(section)
        return failing

    async def _halve(self, sections: list[Section], start: Path) -> list[Section]:
        if not sections:
            return []
        await in_thread(_copy_if_there, start, self._index)
        if await self._apply(sections) is None:
            return []
        if len(sections) == 1:
            return sections
        middle = len(sections) // 2
        return [*await self._halve(sections[:middle], start), *await self._halve(sections[middle:], start)]

    async def _apply(self, sections: list[Section]) -> GitFailed | None:
        options = ("--3way",) if self._three_way else ()
        text = b"".join(section.text for section in sections)
        done = await self._run("apply", "--cached", *options, "-", stdin=text, allowed=(0, 1, 128))
        return None if done.exit_code == 0 else GitFailed("apply", done.exit_code, done.said)

    def _reason(self, section: Section) -> str:
        there = self._before[section.path] is not None
        if section.makes and there:
            return "the patch makes this file, and another one is already there"
        if not section.makes and not there:
            return "the file is no longer there"
        if section.deletes:
            return "the patch deletes this file, and it was changed since"
        if self._three_way:
            return "the same lines were changed since, in another way"
        return "it was changed since, and the patch does not fit any more"

    async def _write_out(self, paths: list[str]) -> None:
        """The files as they will stand in the working tree, below `written/`."""
        names = b"".join(os.fsencode(path) + b"\0" for path in paths)
        if names:
            prefix = f"--prefix={self._folder / 'written'}/"
            await self._run("checkout-index", "--quiet", prefix, "-z", "--stdin", stdin=names)

    def _intent(
        self,
        changed: dict[str, tuple[bytes, bytes] | None],
        entries: dict[str, tuple[bytes, bytes]],
        told: dict[str, Any],
    ) -> Intent:
        """In a thread: number the images by their change, and make them durable."""
        found = {path: number for number, path in enumerate(self._before)}
        changes: list[FileChange] = []
        for number, (path, entry) in enumerate(changed.items()):
            before, after = self._before[path], None
            if before is not None:
                image = self._folder / "before" / f"{found[path]}.found"
                image.rename(self._folder / "before" / str(number))
            if entry is not None:
                image = self._folder / "after" / str(number)
                (self._folder / "written" / path).rename(image)
                sync_file(image)
                keeps_mode = path in entries and entries[path][0] == entry[0]
                after = tree_change.state_after(image, before, keeps_mode=keeps_mode)
            changes.append(FileChange(path, before, after))
        made = tree_change.missing_folders(
            self._work_tree.top, (change.path for change in changes if change.after is not None)
        )
        return Intent(self._work_tree.top, tuple(changes), made, told)

    async def _run(self, *arguments: str, stdin: bytes | None = None, allowed: tuple[int, ...] = (0,)) -> GitOutput:
        """Git with our index and our objects."""
        # Quoted as git wants it: a path may hold the character that parts paths.
        others = self._work_tree.objects.replace("\\", "\\\\").replace('"', '\\"')
        env = {
            **self._work_tree.env,
            "GIT_INDEX_FILE": str(self._index),
            "GIT_OBJECT_DIRECTORY": str(self._folder / "objects"),
            "GIT_ALTERNATE_OBJECT_DIRECTORIES": f'"{others}"',
        }
        return await self._git.run(
            *arguments, cwd=self._work_tree.top, signal=self._signal, stdin=stdin, env=env, allowed=allowed
        )


def _collide(made: Section, deleted: Section) -> bool:
    if not made.makes:
        return False
    return made.path.startswith(f"{deleted.path}/") or deleted.path.startswith(f"{made.path}/")


def _differing(
    before: dict[str, tuple[bytes, bytes]], after: dict[str, tuple[bytes, bytes]], sections: list[Section]
) -> dict[str, tuple[bytes, bytes] | None]:
    """Path to its new entry, None for none, in the patch's order."""
    named = list(dict.fromkeys(section.path for section in sections))
    differing = {path for path in before.keys() | after.keys() if before.get(path) != after.get(path)}
    assert differing <= set(named), "a patch changes what it names"
    return {path: after.get(path) for path in named if path in differing}


def _copy_if_there(source: Path, target: Path) -> None:
    if source.exists():
        shutil.copy2(source, target)
    else:
        target.unlink(missing_ok=True)
