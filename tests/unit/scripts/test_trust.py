"""Who is trusted (D3): the session's word, then the user's list, read again each time."""

from __future__ import annotations

import json
import os
import stat
import threading
from pathlib import Path

import pytest

from sidestep.model.errors import StoreUnavailable
from sidestep.scripts.folder import FolderKey
from sidestep.scripts.trust import TRUST_BYTES_MAX, SessionTrust, TrustList


@pytest.fixture
def trust(tmp_path: Path) -> TrustList:
    return TrustList(tmp_path / "state" / "trust.json")


@pytest.fixture
def folder(tmp_path: Path) -> FolderKey:
    return made(tmp_path / "work")


def made(path: Path) -> FolderKey:
    path.mkdir(parents=True, exist_ok=True)
    return FolderKey.existing(str(path))


def below(folder: FolderKey, name: str) -> FolderKey:
    return made(Path(folder.path) / name)


def test_nothing_is_trusted_before_somebody_said_so(trust: TrustList, folder: FolderKey) -> None:
    assert not trust.is_trusted(folder)
    assert not trust.is_trusted(folder, SessionTrust())
    assert trust.read().problem is None
    assert not trust.path.exists()


def test_trust_covers_what_lies_below_and_nothing_beside(trust: TrustList, folder: FolderKey, tmp_path: Path) -> None:
    """D3."""
    trust.remember([folder])
    assert trust.is_trusted(folder)
    assert trust.is_trusted(below(folder, "a/b"))
    assert not trust.is_trusted(made(tmp_path / "work2"))
    assert not trust.is_trusted(made(tmp_path))


def test_two_windows_see_one_list(trust: TrustList, folder: FolderKey, tmp_path: Path) -> None:
    """D3: also one that names the folder through a symlink."""
    other_window = TrustList(trust.path)
    assert not other_window.is_trusted(folder)
    trust.remember([folder])
    (tmp_path / "link").symlink_to(folder.path)
    assert other_window.is_trusted(FolderKey.existing(str(tmp_path / "link")))
    other_window.forget([folder])
    assert not trust.is_trusted(folder)


def test_the_sessions_word_is_before_the_users_list(trust: TrustList, folder: FolderKey) -> None:
    """D3, the contract's "Folders and trust"."""
    session = SessionTrust([folder])
    inner = below(folder, "inner")
    assert trust.is_trusted(inner, session)
    session.withdraw(inner)
    assert trust.is_trusted(folder, session)
    assert not trust.is_trusted(inner, session)
    trust.remember([folder, inner])
    assert not trust.is_trusted(inner, session)
    session.withdraw(folder)
    session.trust(inner)
    assert not trust.is_trusted(folder, session)
    assert trust.is_trusted(inner, session)
    assert trust.is_trusted(folder, SessionTrust())


def test_forgetting_below_a_trusted_folder_is_remembered(trust: TrustList, folder: FolderKey) -> None:
    inner = below(folder, "inner")
    trust.remember([folder])
    trust.forget([inner])
    assert trust.is_trusted(folder)
    assert not trust.is_trusted(below(inner, "deep"))
    trust.remember([inner])
    assert trust.is_trusted(inner)
    trust.forget([folder])
    assert trust.is_trusted(inner)
    assert not trust.is_trusted(folder)


def test_a_link_swapped_in_after_trust_is_refused(trust: TrustList, folder: FolderKey, tmp_path: Path) -> None:
    """D3: the trusted path leads to another folder now, whoever trusts it."""
    trust.remember([folder])
    session = SessionTrust([folder])
    os.rename(folder.path, tmp_path / "moved")
    (tmp_path / "evil").mkdir()
    os.symlink(tmp_path / "evil", folder.path)
    assert not trust.is_trusted(folder, session)
    assert not trust.is_trusted(FolderKey.existing(folder.path))


@pytest.mark.parametrize(
    "content",
    [
        b"", b"{", b"[]", b"null", b"\xff\xfe", b"[" * 100_000, b"{}", b'{"version": 2, "folders": {}}',
        b'{"version": 1}', b'{"version": 1, "folders": ["/"]}', b'{"version": 1, "folders": {"/": "yes"}}',
        b" " * (TRUST_BYTES_MAX + 1),
    ],
)  # fmt: skip
def test_a_list_that_cannot_be_read_trusts_nothing_and_loses_nothing(
    trust: TrustList, folder: FolderKey, content: bytes
) -> None:
    """D3: a clear error; the file stays as it is."""
    trust.path.parent.mkdir()
    trust.path.write_bytes(content)
    assert not trust.is_trusted(folder)
    assert str(trust.path) in (trust.read().problem or "")
    for change in (trust.remember, trust.forget):
        with pytest.raises(StoreUnavailable) as caught:
            change([folder])
        assert str(trust.path) in caught.value.todo
    assert trust.path.read_bytes() == content
    assert trust.is_trusted(folder, SessionTrust([folder]))


def test_a_list_that_may_not_be_written_says_so(trust: TrustList, folder: FolderKey) -> None:
    trust.path.parent.write_text("a file where the folder should be")
    with pytest.raises(StoreUnavailable):
        trust.remember([folder])


def test_the_list_is_the_users_own_and_whole(trust: TrustList, folder: FolderKey) -> None:
    trust.remember([folder])
    assert stat.S_IMODE(trust.path.stat().st_mode) == 0o600
    document = json.loads(trust.path.read_text())
    assert document == {"version": 1, "folders": {folder.path: True}}
    # What a later version may add is kept.
    trust.path.write_text(json.dumps({**document, "note": "x"}))
    trust.forget([folder])
    assert json.loads(trust.path.read_text()) == {"version": 1, "folders": {}, "note": "x"}
    assert sorted(each.name for each in trust.path.parent.iterdir()) == ["trust.json", "trust.json.lock"]


def test_changes_at_once_are_all_kept(trust: TrustList, tmp_path: Path) -> None:
    """Two windows that trust two folders at the same moment both get their wish."""
    folders = [made(tmp_path / f"work{n}") for n in range(8)]
    gate = threading.Barrier(len(folders))

    def remember(folder: FolderKey) -> None:
        gate.wait()
        TrustList(trust.path).remember([folder])

    threads = [threading.Thread(target=remember, args=(folder,)) for folder in folders]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(trust.is_trusted(folder) for folder in folders)
