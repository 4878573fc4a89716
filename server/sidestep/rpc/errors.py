"""
Error answers of the wire itself, and the errors of our own requests to the client.

    RpcError            a handler or the session answers with exactly this error
    PeerError           the client answered one of our requests with an error
    ├── PeerInvalid     the client answered with something that does not fit
    └── PeerGone        the client cannot answer any more

Only what JSON-RPC and LSP themselves define stands here, numbers and words taken from the protocol's table; what
Sidestep's own errors look like on the wire is `lsp/error_map.py`'s business.
Invariant: every error's `data` carries the stable word `reason`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sidestep_protocol.errors import ERROR_CODES, INVALID_PARAMS, SERVER_CANCELLED, ResponseError
from sidestep_protocol.validation import invalid_params_data

if TYPE_CHECKING:
    import msgspec

    from sidestep_protocol.errors import InvalidParamsData


class RpcError(Exception):
    """Raised where the answer on the wire is already known."""

    def __init__(self, error: ResponseError) -> None:
        super().__init__(error.message)
        self.error = error


class PeerError(Exception):
    """The client answered our request with an error."""

    def __init__(self, code: int, message: str, data: object = None) -> None:
        super().__init__(f"{message} ({code})")
        self.code = code
        self.message = message
        self.data = data


class PeerInvalid(PeerError):
    """The client's answer does not fit what the method returns."""

    def __init__(self, message: str) -> None:
        super().__init__(INVALID_PARAMS, message)


class PeerGone(PeerError):
    """The connection ended before the client answered."""

    def __init__(self) -> None:
        super().__init__(SERVER_CANCELLED, "the client is gone")


def wire_error(reason: str, message: str, **data: object) -> ResponseError:
    """
    Args:
        reason: A word of the protocol's table `ERROR_CODES`, which gives the number.
        message: One line for people; never a path or a traceback.
        data: What a host gets beside `reason`: JSON values, camelCase names.
    """
    return ResponseError(code=ERROR_CODES[reason], message=message, data={"reason": reason, **data})


def method_not_found(method: str) -> ResponseError:
    return wire_error("methodNotFound", f"unknown method {method!r:.200}")


def invalid_params(data: InvalidParamsData) -> ResponseError:
    where = "params" if data.path == "$" else data.path
    return wire_error("invalidParams", f"{where}: expected {data.expected}", path=data.path, expected=data.expected)


def undecodable_params(problem: Exception, params_type: object, raw: bytes | msgspec.Raw) -> ResponseError:
    """Say where params do not fit `params_type`, from what msgspec raised."""
    return invalid_params(invalid_params_data(problem, params_type, raw))


def internal_error(incident_id: str) -> ResponseError:
    """The client learns the incident's id; everything else stays in our log under that id."""
    message = f"internal error; the server's log tells more under incident {incident_id}"
    return wire_error("internal", message, incidentId=incident_id)


def overloaded(what: str, retry_after_ms: int) -> ResponseError:
    return wire_error("overloaded", f"overloaded: {what}", retryAfterMs=retry_after_ms)
