"""P6, T2 on the real process: a deadline that makes no sense is refused, one that does interrupts by the wall clock."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tests.support.raw_client import RawClient, message_where, notification

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.slow

SCRIPT = {"source": "from sidestep import sleep\n\nasync def main():\n    await sleep(3600, id='nap')\n", "name": "nap"}

# As they stand in the message.
REFUSED = ["0", "-0.0", "-1", "1e300", "1e999", "31622401", "true", '"5"', "null", "[]"]


def test_t2_a_deadline_that_makes_no_sense_is_invalid_params_with_its_path(tmp_path: Path) -> None:
    """S1: nothing is stored."""
    with RawClient.spawn(store=tmp_path / "store.db") as client:
        client.initialize(folders=[tmp_path])
        others = {
            "workflow/start": f'"script": {json.dumps(SCRIPT)}',
            "workflow/resume": '"runId": "run_a"',
            "workflow/retry": '"runId": "run_a"',
        }
        for method, other in others.items():
            for number in REFUSED:
                params = f'{{{other}, "deadlineS": {number}}}'
                error = send(client, method, params)["error"]
                assert (error["code"], error["data"]["path"]) == (-32602, "$.deadlineS"), (method, number)
                assert error["data"]["expected"]
        assert client.result("workflow/list")["runs"] == []


def test_t2_a_deadline_that_is_no_json_is_a_parse_error(tmp_path: Path) -> None:
    with RawClient.spawn(store=tmp_path / "store.db") as client:
        client.initialize(folders=[tmp_path])
        for number in ("NaN", "Infinity"):
            since = client.mark()
            send_raw(client, "workflow/start", f'{{"script": {json.dumps(SCRIPT)}, "deadlineS": {number}}}')
            answer = client.expect(message_where(lambda m: "method" not in m), since=since)
            assert answer["error"]["code"] == -32700
        assert client.result("workflow/list")["runs"] == []


def test_p6_t2_the_deadline_is_told_and_interrupts(tmp_path: Path) -> None:
    with RawClient.spawn(store=tmp_path / "store.db") as client:
        client.initialize(folders=[tmp_path])
        longest = client.result("workflow/start", {"script": SCRIPT, "mode": "background", "deadlineS": 31_622_400})
        assert client.result("workflow/get", {"runId": longest["runId"]})["run"]["deadlineAt"] > "2027"

        outcome = client.result("workflow/start", {"script": SCRIPT, "deadlineS": 0.05})
        assert (outcome["status"], outcome["reason"]) == ("interrupted", "deadline")
        run = client.result("workflow/get", {"runId": outcome["runId"]})["run"]
        assert run["createdAt"] < run["deadlineAt"] <= run["endedAt"]
        client.expect(notification("workflow/statusChanged", runId=outcome["runId"], reason="deadline"))


def send(client: RawClient, method: str, params: str) -> dict[str, dict[str, object]]:
    """Send params as they are written; the answer."""
    number = send_raw(client, method, params)
    return client.expect(message_where(lambda m: "method" not in m and m.get("id") == number))


def send_raw(client: RawClient, method: str, params: str) -> int:
    number = client.new_id()
    client.send_body(f'{{"jsonrpc": "2.0", "id": {number}, "method": "{method}", "params": {params}}}'.encode())
    return number
