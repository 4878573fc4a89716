"""
From what a command-line agent printed or wrote to its reply: text or JSON, the report, the usage.

Pure but for reading the report's file. What programs print is never trusted to have a shape: what is not there, or is
of another type, is "not said".
"""

from __future__ import annotations

import json
import math
import os
import re
import stat
from typing import TYPE_CHECKING, Any, cast

from sidestep.model.agents import AgentReply
from sidestep.model.run import FailureCode
from sidestep.model.usage import Usage

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sidestep.model.agent_settings import AgentSettings

# Of output that was expected to be JSON and is not, in a message.
_SHOWN_CHARS_MAX = 500
# More of anything is no price of a turn, and would not fit the journal's numbers.
_NUMBER_MAX = 10**15
_MICRO = 1_000_000
_NEVER_WAIT_NOR_FOLLOW = sum(getattr(os, flag, 0) for flag in ("O_CLOEXEC", "O_NONBLOCK", "O_NOFOLLOW"))


# The start of an object: what stands inside of another one is indented.
_START = re.compile(r"^\{", re.MULTILINE)
_STARTS_MAX = 1000
_DECODER = json.JSONDecoder()


class CannotReport(Exception):
    """There is no report; the message continues "agent 'x' ...", and `usage` is what the turn used, if it is known."""

    def __init__(self, code: FailureCode, what: str, usage: Usage | None = None) -> None:
        super().__init__(what)
        self.code = code
        self.usage = usage


def reply_of(ways: AgentSettings, printed: str, written: str | None) -> AgentReply:
    """
    What a turn that ended well came to.

    Args:
        printed: All of standard output.
        written: The report's file, for an agent that writes one.

    Raises:
        CannotReport: no JSON, no such field, it says that it failed, or the report is blank.
    """
    usage, report = None, printed if written is None else written
    if ways.output_format == "json":
        document = last_document(printed)
        if document is None:
            raise CannotReport(FailureCode.STEP, f"printed no JSON object, but {_shown(printed)}")
        found = _first(document, ways.report_field)
        wrong = _first(document, ways.error_field)
        usage = _usage(ways, document)
        if wrong:
            told = found if isinstance(found, str) and found.strip() else wrong
            raise CannotReport(FailureCode.STEP, f"says that it failed: {_shown(_as_text(told))}", usage)
        if written is None:
            if found is None:
                what = f"printed JSON without {ways.report_field!r}: {_shown(printed)}"
                raise CannotReport(FailureCode.STEP, what, usage)
            report = _as_text(found)
    if not report.strip():
        raise CannotReport(FailureCode.STEP, "ended with exit code 0 and without a report", usage)
    return AgentReply(text=report.strip(), usage=usage)


def read_report_file(path: str, bytes_max: int) -> str:
    """
    The text of a report's file; what is not UTF-8 is replaced.

    Raises:
        CannotReport: it was not written, is no file, or is too long.
    """
    try:
        # The program may have put anything there: a pipe must not hold us, and a link must lead nowhere.
        descriptor = os.open(path, os.O_RDONLY | _NEVER_WAIT_NOR_FOLLOW)
    except OSError as error:
        raise CannotReport(FailureCode.STEP, f"ended with exit code 0 and wrote no report: {error.strerror}") from error
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise CannotReport(FailureCode.STEP, "made its report something else than a file")
        with os.fdopen(descriptor, "rb", closefd=False) as file:
            content = file.read(bytes_max + 1)
    finally:
        os.close(descriptor)
    if len(content) > bytes_max:
        raise CannotReport(FailureCode.LIMIT, f"wrote a report of more than {bytes_max} bytes; ask for less")
    return content.decode("utf-8", "replace")


def last_document(printed: str) -> dict[str, Any] | None:
    """
    The JSON object a program printed: of those that begin a line, the last one.

    Programs print notices before and after it. Only the last `_STARTS_MAX` lines that begin with a brace are looked at.
    """
    printed = printed.strip()
    starts = [found.start() for found in _START.finditer(printed)][-_STARTS_MAX:]
    for start in reversed(starts):
        try:
            value, _ = _DECODER.raw_decode(printed, start)
        except (ValueError, RecursionError):
            continue
        return cast("dict[str, Any]", value)
    return None


def _usage(ways: AgentSettings, document: dict[str, Any]) -> Usage | None:
    sums = {name: _sum(document, paths) for name, paths in ways.usage or ()}
    if all(each is None for each in sums.values()):
        return None
    return Usage(
        input_tokens=round(sums.get("input_tokens") or 0),
        output_tokens=round(sums.get("output_tokens") or 0),
        cost_micro_usd=round((sums.get("cost_usd") or 0) * _MICRO),
    )


def _sum(document: dict[str, Any], paths: tuple[str, ...]) -> float | None:
    """The sum of the numbers at the paths; None when there is none."""
    values = [value for path in paths for value in _at(document, path)]
    numbers = [
        value
        for value in values
        if isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value <= _NUMBER_MAX
    ]
    return math.fsum(numbers) if numbers else None


def _first(document: dict[str, Any], path: str | None) -> Any:
    return None if path is None else next(_at(document, path), None)


def _at(value: Any, path: str) -> Iterator[Any]:
    """What stands at a path: names and list positions with dots between, `*` for every one."""
    step, _, rest = path.partition(".")
    for each in _below(value, step):
        if rest:
            yield from _at(each, rest)
        else:
            yield each


def _below(value: Any, step: str) -> Iterator[Any]:
    if isinstance(value, dict):
        members = cast("dict[str, Any]", value)
        if step == "*":
            yield from members.values()
        elif step in members:
            yield members[step]
    elif isinstance(value, list):
        items = cast("list[Any]", value)
        if step == "*":
            yield from items
        elif step.isdecimal() and int(step) < len(items):
            yield items[int(step)]


def _as_text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _shown(text: str) -> str:
    text = text.strip()
    return (repr(text[:_SHOWN_CHARS_MAX]) + " ...") if len(text) > _SHOWN_CHARS_MAX else repr(text)
