"""Running git: its answers, its failures, its limits, and that nothing of it stays behind."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from sidestep.executors.git import Git, GitFailed, GitOutputTooLong
from sidestep.model.abort import AbortController, Aborted, AbortKind, AbortReason
from tests.support.git_repository import GitRepository

if TYPE_CHECKING:
    from pathlib import Path

    from .conftest import Lifeline


@pytest.fixture
def repository(tmp_path: Path) -> GitRepository:
    return GitRepository(tmp_path / "repository")


def git_of(repository: GitRepository) -> Git:
    return Git(repository.environ, asyncio.sleep)


async def test_bytes_in_bytes_out(repository: GitRepository) -> None:
    git, cwd = git_of(repository), str(repository.folder)
    content = bytes(range(256)) * 1000
    blob = await git.run("hash-object", "-w", "--stdin", cwd=cwd, stdin=content)
    assert (await git.run("cat-file", "blob", blob.line, cwd=cwd)).stdout == content
    pieces = bytearray()
    taken = await git.run("cat-file", "blob", blob.line, cwd=cwd, take=pieces.extend)
    assert (pieces, taken.stdout) == (content, b"")


async def test_an_exit_code_is_a_failure_unless_it_is_an_answer(repository: GitRepository) -> None:
    git, cwd = git_of(repository), str(repository.folder)
    command = ("rev-parse", "--quiet", "--verify", "HEAD")
    assert (await git.run(*command, cwd=cwd, allowed=(0, 1))).exit_code == 1
    with pytest.raises(GitFailed) as failed:
        await git.run("cat-file", "blob", "none", cwd=cwd)
    assert failed.value.exit_code == 128
    assert "none" in failed.value.said


async def test_more_output_than_is_taken_ends_git(repository: GitRepository) -> None:
    git, cwd = git_of(repository), str(repository.folder)
    with pytest.raises(GitOutputTooLong):
        await git.run("-c", "alias.flood=!yes", "flood", cwd=cwd, bytes_max=100_000)


@pytest.mark.slow
async def test_what_git_leaves_in_the_background_is_ended(
    repository: GitRepository, tmp_path: Path, life: Lifeline
) -> None:
    git, cwd = git_of(repository), str(repository.folder)
    command = f"!sh -c 'exec 9>{tmp_path}/life; echo up >&9; sleep 100' & echo"
    assert (await git.run("-c", f"alias.leave={command}", "leave", cwd=cwd)).stdout == b"\n"
    assert not life.is_held


@pytest.mark.slow
async def test_an_abort_ends_git_with_everything_it_started(
    repository: GitRepository, tmp_path: Path, life: Lifeline
) -> None:
    git, cwd, controller = git_of(repository), str(repository.folder), AbortController()
    command = f"!exec 9>{tmp_path}/life; echo up >&9; sleep 100"
    running = asyncio.ensure_future(git.run("-c", f"alias.hang={command}", "hang", cwd=cwd, signal=controller.signal))
    assert await life.line() == "up"
    controller.abort(AbortReason(AbortKind.USER))
    with pytest.raises(Aborted):
        await running
    assert not life.is_held
