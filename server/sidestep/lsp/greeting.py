"""What a client said of itself in `initialize`, as far as it decides what is done for it."""

from __future__ import annotations

from typing import Any, cast

import msgspec

from sidestep_protocol.capabilities import InitializeParams

# What columns can count: bytes, UTF-16 code units, or characters.
POSITION_ENCODINGS = frozenset({"utf-8", "utf-16", "utf-32"})


class Greeting(msgspec.Struct, frozen=True):
    """
    Attributes:
        is_offered: Both sides share a version of the protocol; without one plain LSP works and `workflow/*` does not.
        can_interact: The client answers `workflow/interact`; else its person is asked with LSP's own messages.
        does_tasks: The client answers `workflow/runTask`.
        can_be_asked: The client's person sees our questions, in one way or the other.
        is_plain: The client knows nothing of our protocol: what its person is to see goes through LSP alone.
        client_name: What the client is called where people are told who answered.
    """

    params: InitializeParams
    is_offered: bool = True
    wants_output: bool = False
    can_interact: bool = False
    does_tasks: bool = False
    can_be_asked: bool = False
    is_plain: bool = False
    client_name: str = "host"

    def offers(self, *path: str) -> Any:
        """What the client's capabilities say at a path; None for nothing."""
        found: Any = self.params.capabilities
        for name in path:
            found = cast("dict[str, Any]", found).get(name) if isinstance(found, dict) else None
        return found


def position_encoding(params: InitializeParams) -> str:
    """What columns of LSP's own methods count: the first of the client's encodings that we have, else UTF-16."""
    general: Any = params.capabilities.get("general")
    offered: Any = cast("dict[str, Any]", general).get("positionEncodings") if isinstance(general, dict) else None
    listed = cast("list[Any]", offered) if isinstance(offered, list) else []
    return next((each for each in listed if isinstance(each, str) and each in POSITION_ENCODINGS), "utf-16")


def shows_messages(params: InitializeParams) -> bool:
    """
    Whether the client shows `window/showMessageRequest` to somebody.

    LSP asks nobody to announce that, and few editors do. One without our capability that has a window has a person in
    front of it; a host that knows our protocol has said what it answers.
    """
    window: Any = params.capabilities.get("window")
    experimental: Any = params.capabilities.get("experimental")
    is_ours = isinstance(experimental, dict) and "workflow" in experimental
    return isinstance(window, dict) and ("showMessage" in window or not is_ours)
