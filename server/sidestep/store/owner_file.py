"""
The file of one owner: a header, then the process groups it has started, one per slot.

Owns the format. Slots have a fixed size and are written over in place, so the file grows with the groups alive at one
time and not with their number over the owner's life; one write changes one slot, so a killed owner leaves no half line.

Format: UTF-8, lines of `SLOT_BYTES` bytes padded with spaces. The first is `{"pid", "boot"}`, the others
are `{"group", "run", "startedAt"}` or blank. Start times are seconds in the system's own count.
"""

from __future__ import annotations

import msgspec

# Divides every page size, so no slot lies on two pages.
SLOT_BYTES = 128


class OwnerHeader(msgspec.Struct, frozen=True, rename="camel"):
    """Who the owner is, for people and for the question whether the machine was started anew since."""

    pid: int
    boot: str = ""


class GroupEntry(msgspec.Struct, frozen=True, rename="camel"):
    """A process group: its id (its leader's pid), its run, and when its leader started."""

    group: int
    run: str
    started_at: float


_header_decoder = msgspec.json.Decoder(OwnerHeader)
_entry_decoder = msgspec.json.Decoder(GroupEntry)

BLANK_SLOT = b" " * (SLOT_BYTES - 1) + b"\n"


def encode_slot(line: OwnerHeader | GroupEntry) -> bytes:
    encoded = msgspec.json.encode(line)
    assert len(encoded) < SLOT_BYTES, "an owner's line fits its slot"
    return encoded.ljust(SLOT_BYTES - 1) + b"\n"


def parse_owner_file(content: bytes) -> tuple[OwnerHeader | None, list[GroupEntry]]:
    """The header (None when it is damaged) and the groups listed; damaged lines are left out."""
    header: OwnerHeader | None = None
    entries: list[GroupEntry] = []
    for start in range(0, len(content), SLOT_BYTES):
        line = content[start : start + SLOT_BYTES].strip()
        if not line:
            continue
        try:
            if start == 0:
                header = _header_decoder.decode(line)
            else:
                entries.append(_entry_decoder.decode(line))
        except msgspec.MsgspecError:
            continue
    return header, entries
