"""`sidestep runs show`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click
import msgspec

from sidestep.cli.opening import with_service, workspace
from sidestep.cli.options import json_option, run_id_argument, store_option
from sidestep.cli.outcome import failure_text, print_result
from sidestep.cli.run_ids import find_run
from sidestep.cli.run_view import step_name
from sidestep.cli.terminal_text import duration, local_time, one_line, printable, table
from sidestep.lsp import convert
from sidestep_protocol.timestamps import parse_timestamp

if TYPE_CHECKING:
    from sidestep.model.run import RunRecord
    from sidestep.service.workflows import WorkflowService
    from sidestep_protocol.runs import StepSummary


@click.command(epilog="Example: sidestep runs show last")
@run_id_argument
@store_option
@json_option("the run with its result and its steps")
def show(run_id: str, store: str | None, as_json: bool) -> None:
    """Show a run: status, steps, error, report."""

    async def read(service: WorkflowService) -> tuple[RunRecord, list[StepSummary], str]:
        record = await find_run(service.store, run_id, str(workspace(None)))
        page = await service.store.read_steps(record.run_id)
        return record, [convert.step_summary(step, record, None) for step in page.items], service.owner_id

    record, steps, owner_id = with_service(store, read)
    if as_json:
        detail = convert.run_detail(record, owner_id, ["result", "args"], None)
        click.echo(msgspec.json.encode({"run": detail, "steps": steps}))
        return
    for line in [*_head(record), *_steps(steps)]:
        click.echo(printable(line))
    if record.result is not None:
        click.echo()
        print_result(record)


def _head(record: RunRecord) -> list[str]:
    reason = f" ({record.reason})" if record.reason else ""
    rows = [["run", record.run_id], ["workflow", record.name]]
    if record.label:
        rows.append(["label", one_line(record.label)])
    rows += [["folder", record.folder], ["status", record.status.value + reason]]
    if record.owner is not None:
        rows.append(["owner", f"process {record.owner.pid} since {local_time(record.owner.since_ms)}"])
    rows.append(["created", local_time(record.created_at_ms)])
    if record.ended_at_ms is not None:
        rows.append(["ended", f"{local_time(record.ended_at_ms)}, after {_lasted(record)}"])
    if record.phase:
        rows.append(["phase", one_line(record.phase)])
    if record.args_json != "{}":
        rows.append(["arguments", one_line(record.args_json)])
    if record.error is not None:
        first, *rest = failure_text(record.error).splitlines() or [""]
        rows += [["error", first], *(["", line] for line in rest)]
    return table(rows)


def _lasted(record: RunRecord) -> str:
    return duration((record.ended_at_ms or record.updated_at_ms) - record.created_at_ms)


def _steps(steps: list[StepSummary]) -> list[str]:
    if not steps:
        return ["", "No steps."]
    rows = [
        [step.status, _took(step), "reused" if step.reused else "", one_line(step_name(step.step_id, step.title), 80)]
        for step in steps
    ]
    lines: list[str] = []
    for step, line in zip(steps, table(rows), strict=True):
        lines.append("  " + line)
        if step.error:
            lines.append("      " + one_line(step.error.message))
    return ["", f"Steps ({len(steps)}):", *lines]


def _took(step: StepSummary) -> str:
    if not step.ended_at:
        return ""
    return duration(parse_timestamp(step.ended_at) - parse_timestamp(step.started_at))
