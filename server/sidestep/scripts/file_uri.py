"""
`file:` URIs and paths, both ways (RFC 8089), for this system's paths and for Windows'.

Paths that are no UTF-8 survive: their bytes are what is percent-encoded.
"""

from __future__ import annotations

import os
import re
from urllib.parse import quote_from_bytes, unquote_to_bytes

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):")
_DRIVE = re.compile(r"/([A-Za-z]):(?=/|$)")


def scheme_of(reference: str) -> str | None:
    """The scheme in small letters, or None for a path; `C:` is a drive, not a scheme."""
    match = _SCHEME.match(reference)
    return match[1].lower() if match else None


def path_of_uri(uri: str, *, windows: bool = os.name == "nt") -> tuple[str | None, str]:
    """
    The absolute path a URI names.

    Returns:
        (path, ""), or (None, why not).
    """
    if scheme_of(uri) != "file":
        return None, "only file: URIs name folders and scripts"
    rest = uri[len("file:") :]
    if "?" in rest or "#" in rest:
        return None, "a file: URI has no ? and no #; write them as %3F and %23"
    host = ""
    if rest.startswith("//"):
        host, slash, path = rest[2:].partition("/")
        rest = slash + path
    raw = unquote_to_bytes(rest)
    if not raw.startswith(b"/") or b"\0" in raw:
        return None, "a file: URI names an absolute path"
    path = raw.decode("utf-8", "surrogatepass" if windows else "surrogateescape")
    if host.lower() not in ("", "localhost"):
        return (f"\\\\{host}" + path.replace("/", "\\"), "") if windows else (None, f"it is on another machine: {host}")
    if windows:
        drive = _DRIVE.match(path)
        if drive is None:
            return None, "a file: URI names a drive, as in file:///C:/folder"
        return drive[1].upper() + ":" + (path[3:] or "/").replace("/", "\\"), ""
    return path, ""


def uri_of_path(path: str, *, windows: bool = os.name == "nt") -> str:
    """The `file:` URI of an absolute path."""
    if not windows:
        return "file://" + quote_from_bytes(path.encode("utf-8", "surrogateescape"), safe="/-._~")
    slashed = path.replace("\\", "/")
    if slashed.startswith("//"):
        host, _, rest = slashed[2:].partition("/")
        return f"file://{host}/" + quote_from_bytes(rest.encode("utf-8", "surrogatepass"), safe="/-._~")
    return f"file:///{slashed[:2]}" + quote_from_bytes(slashed[2:].encode("utf-8", "surrogatepass"), safe="/-._~")
