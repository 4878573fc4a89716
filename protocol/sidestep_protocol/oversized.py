"""
Whose answer a body was that is too long to be read, told from its two ends.

Owns a little reading of JSON that needs no whole text. A message has few members beside the long one, so its `id`
stands before or behind that: in the first bytes or in the last ones. Loaded when the first such body comes.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sidestep_protocol.payload import Id

# Runs of brackets are one token, so that a body that is nothing but brackets is cheap; so is a string that is cut off.
JSON_TOKEN = re.compile(rb'"(?:[^"\\]|\\.)*(?:"|\\?\Z)|[\[{]+|[\]}]+|[:,]|[^\s\[\]{}:,"]+')

# The last member of an object, its closing brace taken off, if it is a plain one. Read from the end the quotes tell by
# themselves which of them open: nothing matched here holds a backslash.
_LAST_MEMBER = re.compile(rb'(?:,\s*)?(?<!\\)"(?P<name>[^"\\]*)"\s*:\s*(?P<value>"[^"\\]*"|[^\s\[\]{}:,"\\]+)\s*\Z')


def answered_id(beginning: bytes, ending: bytes) -> Id | None:
    """
    Whose answer a body is.

    Args:
        beginning: The body's first bytes, at least up to the name of its first long member.
        ending: Its last bytes.

    Returns:
        The id; None for what is no answer, and for an answer whose id stands in neither end.
    """
    members, is_answer = _first_members(beginning)
    if not is_answer:
        return None
    members = {**_last_members(ending), **members}
    return None if b"method" in members else _as_id(members.get(b"id", b"null"))


def _first_members(beginning: bytes) -> tuple[dict[bytes, bytes], bool]:
    """The plain members of the outermost object up to its result or error, and whether there is such a one."""
    members: dict[bytes, bytes] = {}
    depth = 0
    before_last, last = b"", b""
    for match in JSON_TOKEN.finditer(beginning):
        token = match.group()
        if depth == 1 and last == b":":
            name = before_last.strip(b'"')
            if name in (b"result", b"error") and token != b"null":
                return members, True
            members[name] = token
        if token[:1] in b"[{":
            depth += len(token)
        elif token[:1] in b"]}":
            depth -= len(token)
        before_last, last = last, token
    return members, depth == 1 and last == b":" and before_last in (b'"result"', b'"error"')


def _last_members(ending: bytes) -> dict[bytes, bytes]:
    """The plain members before the end of the outermost object."""
    members: dict[bytes, bytes] = {}
    rest = ending.rstrip()
    if not rest.endswith(b"}"):
        return members
    rest = rest[:-1]
    while (member := _LAST_MEMBER.search(rest)) is not None:
        members[member["name"]] = member["value"]
        rest = rest[: member.start()]
    return members


def _as_id(token: bytes) -> Id | None:
    try:
        value: object = json.loads(token)
    except ValueError:
        return None
    # `bool` is an `int` to Python, not to JSON.
    return value if isinstance(value, str) or (isinstance(value, int) and not isinstance(value, bool)) else None
