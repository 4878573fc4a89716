"""The kit itself: what it imports, what it checks, and how it takes servers that are hopeless."""

from __future__ import annotations

import asyncio
import json
import os
import re
import subprocess
import sys
from collections import deque
from pathlib import Path

import msgspec
import pytest

from sidestep_protocol.capabilities import ServerWorkflowCapability
from sidestep_protocol.conformance.__main__ import main
from sidestep_protocol.conformance.catalogue import GROUPS, choose
from sidestep_protocol.conformance.check import CheckFailed, must, must_equal
from sidestep_protocol.conformance.frames import StrayBytes, StrictFrames
from sidestep_protocol.conformance.report import line_of
from sidestep_protocol.conformance.running import Outcome, Verdict, run_checks
from sidestep_protocol.framing import encode_frame

ROOT = Path(__file__).resolve().parents[2]
CONTRACT = (ROOT / "protocol" / "README.md").read_text()
CHECKS = [check for checks in GROUPS.values() for check in checks]


@pytest.mark.slow
def test_the_kit_imports_nothing_of_the_server() -> None:
    """Every module of it, though the server and all its packages are on the path."""
    program = """
import pkgutil, sys
import sidestep_protocol.conformance as kit
for module in pkgutil.iter_modules(kit.__path__):
    __import__(f"{kit.__name__}.{module.name}")
# msgspec looks whether typing_extensions is there.
known = sys.stdlib_module_names | {"sidestep_protocol", "msgspec", "typing_extensions", "__main__"}
print(sorted({name.partition(".")[0] for name in sys.modules} - known))
"""
    path = os.pathsep.join([str(ROOT / "server"), str(ROOT / "protocol")])
    command = [sys.executable, "-S", "-c", f"import sys; sys.path += {sys.path!r}\n{program}"]
    done = subprocess.run(command, capture_output=True, text=True, env={"PYTHONPATH": path}, check=True)
    assert done.stdout.strip() == "[]"


def test_the_groups_are_those_of_the_contract() -> None:
    assert list(GROUPS) == ["lifecycle", "framing", "cancellation", "ordering", "robustness", "durability"]
    assert all(GROUPS.values())


def test_ids_are_unique_and_sentences_are_one_sentence() -> None:
    assert len({check.id for check in CHECKS}) == len(CHECKS)
    assert {check.id for check in CHECKS} & set(GROUPS) == set()
    assert [check.id for check in CHECKS if not re.fullmatch(r"[^\n]+\.", check.sentence)] == []


def test_a_clause_is_one_of_the_contract() -> None:
    """G and W ids, rows of the cancellation table, and titles of sections."""
    titles = set(re.findall(r"^#{2,3} (.+)$", CONTRACT, re.MULTILINE))
    clause = re.compile(r"G[1-8]|W([1-9]|1[0-9]|2[0-5])|cancellation row ([1-9]|10)")
    assert [c.clause for c in CHECKS if not clause.fullmatch(c.clause) and c.clause not in titles] == []


def test_every_row_of_the_cancellation_table_has_a_check() -> None:
    """Row 9 and 10 are one check: which of them it meets is the server's to decide."""
    table = CONTRACT.split("## Cancellation")[1].split("\n## ")[0]
    rows = [line for line in table.splitlines() if line.startswith("| ") and "when it is read" not in line]
    assert len(rows) == 10
    checked = {check.clause for check in CHECKS}
    assert {f"cancellation row {n}" for n in range(1, 11)} - checked == {"cancellation row 9"}


def test_every_order_has_a_check() -> None:
    assert {f"G{number}" for number in range(1, 9)} - {check.clause for check in CHECKS} == set()


def test_the_contract_tells_every_worst_case_and_group() -> None:
    section = CONTRACT.split("\n## Conformance\n")[1].split("\n## ")[0]
    told = {clause for row in re.findall(r"^\| (W[^|]+) \|", section, re.MULTILINE) for clause in row.split(", ")}
    assert told == {check.clause for check in CHECKS if re.fullmatch(r"W\d+", check.clause)}
    groups = re.findall(r"^\| `([a-z]+)` \|", section.split("| group |")[1], re.MULTILINE)
    assert groups == list(GROUPS)


def test_the_contract_shows_checks_as_they_are() -> None:
    shown = re.findall(r"^(?:pass|skip|FAIL)  .*$", CONTRACT, re.MULTILINE)
    lines = {line_of(Outcome(check, group, Verdict.PASSED, 0.0)) for group in GROUPS for check in GROUPS[group]}
    for line in shown:
        start = line[4:].split(": skipped")[0]
        assert any(known[4:].startswith(start) for known in lines), line
    assert len(shown) == 3


def test_only_names_groups_and_checks() -> None:
    chosen, unknown = choose(["ordering", "an-outcome-survives-a-crash", "no-such"])
    assert unknown == ["no-such"]
    assert chosen["ordering"] == list(GROUPS["ordering"])
    assert [check.id for check in chosen["durability"]] == ["an-outcome-survives-a-crash"]
    assert chosen["framing"] == []


@pytest.mark.parametrize(
    "arguments",
    [[], ["--only", "ordering"], ["--only", "no-such", "--", "true"], ["--patience", "0", "--", "true"], ["--what"]],
)
def test_usage_errors_are_exit_code_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    assert "usage: " in capsys.readouterr().err


def check_is_no_server(command: list[str], patience: str, seen: str, capsys: pytest.CaptureFixture[str]) -> None:
    wanted = ["--only", "initialize-says-what-the-server-speaks", "--patience", patience]
    assert main(["--json", *wanted, "--", *command]) == 1
    report = json.loads(capsys.readouterr().out)
    assert (report["passed"], report["failed"], report["notKept"]) == (0, 1, ["initialize"])
    (told,) = report["checks"]
    assert seen in told["seen"]


@pytest.mark.parametrize(
    ("command", "seen"),
    [
        (["/no/such/program"], "No such file"),
        (["true"], "the server's stdout ended"),
        (["echo", "ready"], "belong to no frame: b'ready"),
    ],
)
def test_a_program_that_is_no_server_fails_at_once(
    command: list[str], seen: str, capsys: pytest.CaptureFixture[str]
) -> None:
    check_is_no_server(command, "1", seen, capsys)


@pytest.mark.slow
def test_a_server_that_hangs_fails_when_time_is_up(capsys: pytest.CaptureFixture[str]) -> None:
    """`cat` gives our own requests back, and answers none."""
    check_is_no_server(["cat"], "0.02", "no answer within", capsys)


def test_a_feature_that_is_not_offered_is_skipped(tmp_path: Path) -> None:
    """A server that answers initialize and nothing else."""
    capability = ServerWorkflowCapability(
        protocol_version=1, server_version="0", schema_hash="0", store_id=None, server_epoch="0", features=[], limits={}
    )
    program = tmp_path / "server.py"
    program.write_text(f"""
import json, sys
capability = json.loads({msgspec.json.encode(capability)!r})
while head := sys.stdin.buffer.readline():
    sys.stdin.buffer.readline()
    message = json.loads(sys.stdin.buffer.read(int(head.split(b":")[1])))
    if "id" in message:
        result = {{"capabilities": {{"experimental": {{"workflow": capability}}}}}}
        body = json.dumps({{"jsonrpc": "2.0", "id": message["id"], "result": result}}).encode()
        sys.stdout.buffer.write(b"Content-Length: %d\\r\\n\\r\\n%b" % (len(body), body))
        sys.stdout.buffer.flush()
""")
    chosen, _ = choose(["an-outcome-survives-a-crash", "the-first-status-comes-first"])
    outcomes = asyncio.run(run_checks(chosen, [sys.executable, str(program)]))
    assert [(outcome.verdict, outcome.why) for outcome in outcomes] == [
        (Verdict.SKIPPED, "feature not offered: start"),
    ] * 2


@pytest.mark.parametrize("noise", [b"printed\n", b"Traceback (most recent call last):\n", b"\x00", b"{}"])
def test_bytes_between_frames_are_found(noise: bytes) -> None:
    """W23 as the kit sees it, however the bytes are split."""
    frame = encode_frame(b'{"jsonrpc":"2.0","id":1,"result":null}')
    data = frame + noise + frame
    for size in (1, 7, len(data)):
        frames = StrictFrames()
        pieces = [data[at : at + size] for at in range(0, len(data), size)]
        with pytest.raises(StrayBytes, match="belong to no frame"):
            deque(map(frames.feed, pieces))


@pytest.mark.parametrize(
    "body",
    [b"{", b"[]", b'{"jsonrpc":"2.0"}', b'{"id":1,"result":1}', b'{"jsonrpc":"2.0","id":1,"result":1,"error":{}}'],
)
def test_a_body_that_is_no_message_is_found(body: bytes) -> None:
    with pytest.raises(StrayBytes, match="a body that is no"):
        StrictFrames().feed(encode_frame(body))


def test_a_frame_with_a_content_type_is_a_frame() -> None:
    body = b'{"jsonrpc":"2.0","method":"x"}'
    head = b"Content-Type: application/vscode-jsonrpc; charset=utf-8\r\nContent-Length: %d\r\n\r\n" % len(body)
    assert StrictFrames().feed(head + body) == [{"jsonrpc": "2.0", "method": "x"}]


def test_output_that_ends_inside_a_frame_is_found() -> None:
    frames = StrictFrames()
    frames.feed(b"Content-Length: 10\r\n\r\n{")
    with pytest.raises(StrayBytes, match="ends inside a frame"):
        frames.end()


def test_a_failure_says_what_was_expected_and_what_was_seen() -> None:
    with pytest.raises(CheckFailed) as failed:
        must_equal(True, 1, "the count")
    assert (failed.value.expected, failed.value.seen) == ("the count: 1", "True")
    must(True, "anything", "nothing")
