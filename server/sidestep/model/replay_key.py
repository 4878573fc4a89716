"""
The one canonical JSON and the one hash: identity of steps, tasks and sources (J2).

Source: RFC 8785 in spirit: sorted keys, no insignificant white space, no NaN; numbers are as Python writes them.
"""

from __future__ import annotations

import base64
import json
from typing import Any

KEY_HEX_CHARS = 32

_CANONICAL = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
_CONTAINERS = (dict, list, tuple)


def canonical_json(value: Any) -> str:
    """
    The one text of a JSON value: keys sorted, no white space, UTF-8 kept, no NaN or infinity.

    Raises:
        ValueError: the value holds NaN or infinity, or refers to itself.
        TypeError: the value is not JSON, or a key is not a string.
    """
    # First: it also finds a value that refers to itself, in which the search for keys would never end.
    text = _CANONICAL.encode(value)
    _require_string_keys(value)
    return text


def hash_text(text: str) -> str:
    """SHA-256 of UTF-8 text (lone surrogates survive), as 64 hex characters."""
    # Imported late, here and below: it loads libcrypto, 3.5 MiB that a server without runs does not need.
    import hashlib

    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def step_key(step_id: str, kind: str, step_input: Any) -> str:
    """
    The replay key of a step: a hash of its id, its kind and what it was given.

    Cosmetic fields (title, phase, time limits) must not be part of `step_input`.

    Returns:
        32 hex characters.

    Raises:
        ValueError, TypeError: the input is not JSON.
    """
    return hash_text(canonical_json([step_id, kind, step_input]))[:KEY_HEX_CHARS]


def task_id(run_id: str, key: str, attempt: int) -> str:
    """The id under which an executor is given a step; can be recomputed, so a lost `started` record costs nothing."""
    return "task_" + hash_text(canonical_json([run_id, key, attempt]))[:24]


def child_run_id(run_id: str, key: str) -> str:
    """The id of the nested run that a step makes: derived, so that every execution of the step means the same run."""
    import hashlib

    digest = hashlib.sha256(f"{run_id} {key}".encode()).digest()
    return "run_" + base64.b32encode(digest[:10]).decode("ascii").lower()


def _require_string_keys(value: Any) -> None:
    # json.dumps would turn 1 and "1" into the same key; two different inputs must not share a hash.
    stack = [value]
    while stack:
        item = stack.pop()
        if isinstance(item, dict):
            for key, child in item.items():  # pyright: ignore[reportUnknownVariableType]
                if not isinstance(key, str):
                    raise TypeError(f"keys of JSON objects are strings, not {type(key).__name__}")  # pyright: ignore[reportUnknownArgumentType]
                if isinstance(child, _CONTAINERS):
                    stack.append(child)  # pyright: ignore[reportUnknownArgumentType]
        elif isinstance(item, list | tuple):
            stack.extend([each for each in item if isinstance(each, _CONTAINERS)])  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
