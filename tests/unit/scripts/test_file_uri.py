"""`file:` URIs and paths, both ways."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sidestep.scripts.file_uri import path_of_uri, scheme_of, uri_of_path

POSIX = [
    ("file:///home/a%20b/%C3%BC.py", "/home/a b/ü.py"),
    ("file:///a%25b%23c%3Fd", "/a%b#c?d"),
    ("FILE://localhost/x", "/x"),
    ("file:/x", "/x"),
    ("file:///%ff", "/\udcff"),
    ("file:///C:/x", "/C:/x"),
    ("file:///ü b", "/ü b"),
]
WINDOWS = [
    ("file:///C:/Users/a%20b", "C:\\Users\\a b"),
    ("file:///c%3A/x", "C:\\x"),
    ("file:///d:", "D:\\"),
    ("file://server/share/x", "\\\\server\\share\\x"),
]


@pytest.mark.parametrize(("uri", "path"), POSIX)
def test_a_uri_names_a_path(uri: str, path: str) -> None:
    assert path_of_uri(uri, windows=False) == (path, "")


@pytest.mark.parametrize(("uri", "path"), WINDOWS)
def test_a_uri_names_a_path_of_windows(uri: str, path: str) -> None:
    assert path_of_uri(uri, windows=True) == (path, "")


@pytest.mark.parametrize(
    ("uri", "windows", "part"),
    [
        ("http://x/y", False, "only file:"),
        ("untitled:x", False, "only file:"),
        ("/x", False, "only file:"),
        ("file://host/x", False, "another machine"),
        ("file:x", False, "absolute"),
        ("file:", False, "absolute"),
        ("file:///a%00b", False, "absolute"),
        ("file:///a?b", False, "no ?"),
        ("file:///a#b", False, "no ?"),
        ("file:///x", True, "a drive"),
    ],
)
def test_what_names_no_path_says_why(uri: str, windows: bool, part: str) -> None:
    path, why = path_of_uri(uri, windows=windows)
    assert path is None
    assert part in why


@pytest.mark.parametrize("path", ["C:\\Users\\ü b\\100%", "C:\\", "\\\\server\\share\\a b"])
def test_a_path_of_windows_comes_back(path: str) -> None:
    uri = uri_of_path(path, windows=True)
    assert uri.isascii()
    assert path_of_uri(uri, windows=True) == (path, "")


@settings(deadline=None)
@given(st.binary(max_size=30).map(lambda name: b"/" + name.replace(b"\0", b"")))
def test_every_path_comes_back(raw: bytes) -> None:
    """Also one that is no UTF-8."""
    path = raw.decode("utf-8", "surrogateescape")
    uri = uri_of_path(path, windows=False)
    assert uri.isascii()
    # `//x` would be a host; no path that was resolved begins with it.
    if not path.startswith("//"):
        assert path_of_uri(uri, windows=False) == (path, "")


def test_a_drive_is_no_scheme() -> None:
    assert scheme_of("C:\\x") is None
    assert scheme_of("/x:y") is None
    assert scheme_of("File:///x") == "file"
