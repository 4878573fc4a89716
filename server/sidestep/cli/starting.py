"""What `sidestep run` does once its words are read: arguments, trust, the start, the wait."""

from __future__ import annotations

import asyncio
import json
import shlex
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import click

from sidestep.cli import outcome
from sidestep.cli.complaints import problem_line
from sidestep.cli.following import Follower
from sidestep.cli.opening import opened, tell_configuration, workspace
from sidestep.cli.terminal_text import printable, table
from sidestep.cli.trust_question import settle_trust
from sidestep.model.errors import ArgsInvalid, SidestepError
from sidestep.model.problems import ArgsProblem
from sidestep.scripts.arguments import describe as describe_schema
from sidestep.scripts.check import check
from sidestep.scripts.command_line_arguments import coerce_cli
from sidestep.service.requests import StartRequest

if TYPE_CHECKING:
    from sidestep.app import Application
    from sidestep.cli.invocation import Invocation
    from sidestep.model.abort import AbortSignal
    from sidestep.model.run import RunRecord
    from sidestep.scripts.folder import FolderKey
    from sidestep.scripts.resolver import ResolvedScript, ScriptReference
    from sidestep.scripts.signature import ScriptParameter
    from sidestep.service.requests import OnRun


@dataclass(frozen=True)
class Start:
    """The words of one `sidestep run`, as they were said."""

    reference: ScriptReference
    words: tuple[str, ...]
    args_json: str | None
    start_key: str | None
    label: str | None
    folder: str | None
    store: str | None
    deadline_s: int | None
    trust: bool
    as_json: bool
    as_events: bool
    invocation: Invocation


async def run(start: Start) -> int:
    """Start the workflow and wait for it. Returns the exit code."""
    try:
        return await _run(start)
    except SidestepError as error:
        outcome.tell_refusal(error, as_json=start.as_json)
        raise


async def describe(start: Start) -> int:
    """Print what a workflow is and takes. Reads the script; needs no trust, for nothing runs."""
    async with opened(start.store) as app:
        folder = workspace(start.folder)
        app.library.trust_for_session([folder])
        script = await app.library.resolve(start.reference, folder)
    for line in description_of(script, start.invocation.typed_script or script.name):
        click.echo(printable(line))
    return 0


def description_of(script: ResolvedScript, typed: str) -> list[str]:
    """A workflow's help: description, usage with the name or path that was typed, arguments."""
    parameters = script.signature.parameters
    required = "".join(f" {p.name}=..." for p in parameters if p.is_required)
    optional = " [KEY=VALUE]..." if any(not p.is_required for p in parameters) else ""
    lines = [f"{script.name}: {script.signature.description or 'no description'}", ""]
    lines.append(f"Usage: sidestep run {shlex.quote(typed)}{required}{optional}")
    if not parameters:
        return [*lines, "", "It takes no arguments."]
    rows = [_parameter_row(parameter) for parameter in parameters]
    return [*lines, "", "Arguments:", *(f"  {line}" for line in table(rows))]


def _parameter_row(parameter: ScriptParameter) -> list[str]:
    kind = parameter.type_text or describe_schema(parameter.schema)
    if parameter.is_required:
        note = "[required]"
    else:
        note = f"[default: {json.dumps(parameter.schema.get('default'), ensure_ascii=False)}]"
    return [parameter.name, kind, " ".join(part for part in (parameter.description, note) if part)]


async def _run(start: Start) -> int:
    folder = workspace(start.folder)
    async with opened(start.store) as app:
        # A store that cannot be used is told before anybody is asked for trust.
        await app.service()
        settle_trust(app.library, folder, given=start.trust)
        script = await app.library.resolve(start.reference, folder)
        args = _arguments(start, script)
        await _warn(script)
        tell_configuration(app, folder)
        record = await _follow(app, start, script.name, args, folder)
        questions = await outcome.questions_of(await app.service(), record)
        return outcome.tell(record, start.invocation, questions, as_json=start.as_json, as_events=start.as_events)


async def _warn(script: ResolvedScript) -> None:
    """Tell what the check finds suspicious in a script that may run: most of it is never seen otherwise."""
    for p in await asyncio.to_thread(check, script.source, script.file):
        click.echo(printable(problem_line(script.file, p.line, p.column, p.message, p.severity)), err=True)


async def _follow(app: Application, start: Start, name: str, args: dict[str, Any], folder: FolderKey) -> RunRecord:
    service = await app.service()

    async def ask(on_run: OnRun, signal: AbortSignal) -> RunRecord:
        request = StartRequest(
            script=start.reference,
            args=args,
            folder=folder,
            start_key=start.start_key,
            label=start.label,
            deadline_s=start.deadline_s,
            # A run ends with its command; a person who wants it to go on says so.
            auto_resume=False,
            on_run=on_run,
        )
        return (await service.start(request, signal)).record

    follower = Follower(service, name, start.invocation, events_after=0 if start.as_events else None)
    return await follower.follow(ask)


def _arguments(start: Start, script: ResolvedScript) -> dict[str, Any]:
    """
    Raises:
        ArgsInvalid: with every problem.
    """
    given = _whole_arguments(start.args_json, script.name)
    args, problems = coerce_cli(script.signature, start.words, _read_text, given)
    if problems:
        raise ArgsInvalid(name=script.name, problems=tuple(problems))
    return args


def _whole_arguments(words: str | None, name: str) -> dict[str, Any]:
    """The object of `--args-json`; empty without it."""
    if words is None:
        return {}
    try:
        value = json.loads(_read_source(words))
    except OSError as error:
        why = f"--args-json: cannot read {words[1:]!r}: {error.strerror or error}"
    except (ValueError, RecursionError) as error:
        why = f"--args-json is not JSON: {error}"
    else:
        if isinstance(value, dict):
            return cast("dict[str, Any]", value)
        why = "--args-json takes a JSON object"
    raise ArgsInvalid(name=name, problems=(ArgsProblem("", why),))


def _read_source(words: str) -> str:
    if words == "-":
        return sys.stdin.read()
    return _read_text(words[1:]) if words.startswith("@") else words


def _read_text(path: str) -> str:
    return Path(path).expanduser().read_text(encoding="utf-8")
