"""N2: each of the six codes, from where it arises to journal event, row, outcome, and the script that catches it."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from sidestep.model.run import FailureCode
from tests.support.raw_client import RawClient

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.slow


@dataclass(frozen=True)
class Case:
    """
    One way to fail.

    Attributes:
        line: The statement of `main` that fails.
        step_id: The step that fails; None when the script itself does.
    """

    code: str
    line: str
    step_id: str | None = None


CASES = {
    "script: raised by the author": Case("script", "raise ValueError('limit in step: timeout')"),
    "script: asked twice": Case(
        "script", "await command(['true'], id='x'); await command(['true'], id='x')", step_id="x"
    ),
    "step: exit code": Case("step", "await command(['false'], id='x')", step_id="x"),
    "validation: of a step": Case("validation", "await command(['true'], id='x', cwd='..')", step_id="x"),
    "validation: of the result": Case("validation", "return {1, 2}"),
    "timeout": Case("timeout", "await command(['sleep', '60'], id='x', timeout_s=0.05)", step_id="x"),
    "infrastructure": Case("infrastructure", "await command(['no-such-program'], id='x')", step_id="x"),
    "limit: of the sandbox": Case("limit", "deeper()"),
    "limit: of a step": Case("limit", "await command(['head', '-c', '300000', '/dev/zero'], id='x')", step_id="x"),
}

SOURCE = """
from sidestep import command, failure

def deeper():
    return deeper()

async def main():
    {line}
"""

CAUGHT = """
from sidestep import command, failure

async def main():
    try:
        {line}
    except (RuntimeError, TimeoutError) as error:
        return {{"report": "", "data": failure(error)}}
"""


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RawClient]:
    folder = tmp_path_factory.mktemp("codes")
    with RawClient.spawn(store=folder / "store.db") as made:
        workspace = folder / "workspace"
        workspace.mkdir()
        made.initialize(folders=[workspace])
        yield made


def outcome_of(client: RawClient, source: str) -> dict[str, Any]:
    return client.result("workflow/start", {"script": {"source": textwrap.dedent(source), "name": "test"}})


def test_n2_every_code_has_a_case() -> None:
    assert {case.code for case in CASES.values()} == {code.value for code in FailureCode}


@pytest.mark.parametrize("name", CASES)
def test_n2_the_code_stands_in_journal_row_and_outcome(client: RawClient, name: str) -> None:
    case = CASES[name]
    outcome = outcome_of(client, SOURCE.format(line=case.line))
    run_id = outcome["runId"]
    assert outcome["status"] == "failed"
    told = outcome["error"]
    assert (told["code"], told.get("stepId")) == (case.code, case.step_id), told

    row = client.result("workflow/get", {"runId": run_id})["run"]
    assert row["error"] == told
    events = client.result("workflow/events", {"runId": run_id})["events"]
    [ended] = [event["error"] for event in events if event["type"] == "error"]
    assert (ended["code"], ended.get("stepId")) == (case.code, case.step_id)
    failed = [event for event in events if event["type"] == "step" and event["status"] == "failed"]
    assert all(event["error"]["code"] == case.code for event in failed)


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if case.step_id and case.code != "script"])
def test_n2_a_failed_step_s_code_stands_in_its_row_and_reaches_the_script_that_catches_it(
    client: RawClient, name: str
) -> None:
    """P9."""
    case = CASES[name]
    outcome = outcome_of(client, CAUGHT.format(line=case.line))
    assert outcome["status"] == "completed", outcome
    caught = outcome["result"]["data"]
    assert (caught["code"], caught["step"]) == (case.code, case.step_id)
    [step] = client.result("workflow/steps", {"runId": outcome["runId"]})["steps"]
    assert (step["status"], step["error"]["code"]) == ("failed", case.code)
