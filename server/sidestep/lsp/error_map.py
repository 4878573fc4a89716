"""
The only place that turns Sidestep's errors into JSON-RPC's: number, message and `data.reason`.

The numbers stand in `sidestep_protocol.errors.ERROR_CODES`, by reason; a class's reason is its `code`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from sidestep.lsp import convert
from sidestep.model.errors import RunLeased, ScriptInvalid, SidestepError
from sidestep_protocol.errors import ERROR_CODES, ResponseError
from sidestep_protocol.timestamps import format_timestamp

if TYPE_CHECKING:
    from collections.abc import Callable


def map_error(error: BaseException) -> ResponseError | None:
    """The answer for an error Sidestep knows; None for anything else, which the session answers as internal."""
    if not isinstance(error, SidestepError) or error.code == "internal":
        return None
    data: dict[str, Any] = {"reason": error.code, **_data(error)}
    return ResponseError(code=ERROR_CODES[error.code], message=str(error), data=data)


def _data(error: SidestepError) -> dict[str, Any]:
    special = _SPECIAL.get(type(error))
    return error.data if special is None else special(error)


def _script_invalid(error: Any) -> dict[str, Any]:
    found = convert.diagnostics(error.problems, error.source)
    return {"diagnostics": msgspec.to_builtins(found), "file": error.file}


def _run_leased(error: Any) -> dict[str, Any]:
    return {
        "pid": error.pid,
        "since": format_timestamp(error.since_ms),
        "mine": error.mine,
        "quiescent": error.quiescent,
    }


# Errors whose data needs the wire's types.
_SPECIAL: dict[type[SidestepError], Callable[[Any], dict[str, Any]]] = {
    ScriptInvalid: _script_invalid,
    RunLeased: _run_leased,
}
