"""
What every wire struct has in common.

Owns the base struct and the few scalar types of the wire. Knows no method.

Invariants:
- camelCase on the wire, snake_case in Python; structs are frozen and take keywords only. Both words stand at every
  class: msgspec does not hand `kw_only` down, and type checkers want to see `frozen`.
- A field the contract marks `?` is `| UnsetType = UNSET`: absent when not given, and null is refused. UNSET is falsy.
- A field the contract marks `|null` has no default: it is always sent.
- Unknown fields are ignored when decoding. Values typed `Any` or `JsonObject` pass through untouched, keys and all.
- Struct modules do without `from __future__ import annotations`: msgspec evaluates the annotations at run time.
"""

from collections.abc import Iterable
from typing import Annotated, Any

import msgspec

# Key of the JSON schema extension that lists the values an open enumeration has today.
KNOWN_VALUES = "x-known-values"

# Any JSON object of the user's: arguments, log data, schemas.
JsonObject = dict[str, Any]

# Request ids and progress tokens: `1` and `"1"` differ.
Id = int | str

# RFC 3339, UTC, milliseconds: `2026-01-31T09:30:00.125Z`. See `timestamps`.
Timestamp = Annotated[str, msgspec.Meta(extra_json_schema={"format": "date-time"})]

# Position in a run's journal: 1-based, gap-free. 0 means "before the first event".
Sequence = Annotated[int, msgspec.Meta(ge=0)]


class Payload(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    omit_defaults=True,
    rename="camel",
):
    """Base of every struct that travels: params, results, and what they hold."""


class Empty(Payload, frozen=True, kw_only=True):
    """Params or result without fields: `{}`."""


def open_values(values: Iterable[str]) -> msgspec.Meta:
    """
    Describe a string whose values may grow, for what a server sends: hosts tolerate values they do not know.

    What a host sends is a `Literal` instead, and refused when unknown.
    """
    return msgspec.Meta(extra_json_schema={KNOWN_VALUES: list(values)})
