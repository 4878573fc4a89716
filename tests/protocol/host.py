"""What the tests of the wire share: a workspace with a server on it, and how much memory that server has."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.support.raw_client import RawClient, message_where, response_to

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.support.expectations import Message

QUICK = """
from sidestep import command

async def main():
    await command(["true"], id="only")
    return "done"
"""

# Writes its process's id, then waits in a step until somebody writes into the pipe `gate`.
GATED = """
from sidestep import command

async def main():
    await command(["true"], id="first")
    await command(["sh", "-c", "echo $$ > pid.part; mv pid.part pid; cat gate"], id="gated")
    return "through"
"""

# Logs, waits, logs again.
LINES = """
from sidestep import command, log

async def main(before: int = 0, after: int = 0, width: int = 10):
    for n in range(before):
        log("x" * width)
    await command(["cat", "gate"], id="gate")
    for n in range(after):
        log("y" * width)
"""


_path = re.compile(r"(?<!\w)/\w+/|\n|Traceback")


class Host:
    """A workspace with a gate, and a server on it."""

    def __init__(self, root: Path, *arguments: str, store: Path | None = None, serve: bool = True) -> None:
        """
        Args:
            arguments: More of the server's.
            store: Another one than the workspace's own.
            serve: Whether to start the server.
        """
        self.folder = root / "workspace"
        self.folder.mkdir(parents=True, exist_ok=True)
        self.gate = self.folder / "gate"
        if not self.gate.exists():
            os.mkfifo(self.gate)
        self.store = store or root / "store.db"
        if serve:
            self.client = self.connect(*arguments)

    def connect(self, *arguments: str) -> RawClient:
        """
        Another server on the workspace.

        It is not told `initialized`: then it loads what editors need, which costs as much as the rest of a test.
        """
        client = RawClient.spawn(*arguments, store=self.store)
        uri = self.folder.resolve().as_uri()
        client.result(
            "initialize",
            {
                "processId": None,
                "rootUri": None,
                "capabilities": {"experimental": {"workflow": {"protocolVersions": [1]}}},
                "workspaceFolders": [{"uri": uri, "name": "workspace"}],
                "initializationOptions": {"trust": {"folders": [uri]}, "autoResume": False},
            },
        )
        return client

    def start(self, source: str = QUICK, **wanted: Any) -> int:
        """Start an inline script, its events followed; returns the request's id."""
        return self.client.request("workflow/start", start_params(source, **wanted))

    def gated(self, **wanted: Any) -> tuple[int, str]:
        """Start the gated workflow and wait until its step runs: (request, run id)."""
        number = self.start(GATED, **wanted)
        return number, self.step_begun("gated")

    def step_begun(self, step_id: str, *, since: int = 0) -> str:
        """Wait until a step is being done; returns its run's id."""
        return str(self.client.expect(step_event(step_id, "started"), since=since)["params"]["runId"])

    def open_gate(self) -> None:
        self.gate.write_text("go")

    def run(self, run_id: str, client: RawClient | None = None) -> dict[str, Any]:
        """The run as the journal has it."""
        return dict((client or self.client).result("workflow/get", {"runId": run_id})["run"])

    def runs(self, client: RawClient | None = None) -> list[dict[str, Any]]:
        """The workspace's runs as any server on the store lists them."""
        page = (client or self.client).result("workflow/list", {"workspaceFolder": self.folder.as_uri()})
        return list(page["runs"])


def start_params(source: str = QUICK, **wanted: Any) -> dict[str, Any]:
    return {"script": {"source": source, "name": "test"}, "events": True, **wanted}


def step_event(step_id: str, status: str) -> Any:
    """An expectation: a step's event of this status was told."""

    def begun(message: Message) -> bool:
        events = message["params"]["events"] if message.get("method") == "workflow/eventsAppended" else []
        return any(e["type"] == "step" and e["stepId"] == step_id and e["status"] == status for e in events)

    return message_where(begun, f"step {step_id} {status}")


def said(client: RawClient, data: bytes) -> list[Message]:
    """
    Send bytes, then a request that has to be answered whatever they were.

    Returns:
        What the server said before that answer; nothing of it is a notification.
    """
    mark = client.mark()
    client.send_bytes(data)
    number = client.request("workflow/health")
    answer = client.expect(response_to(number), since=mark)
    assert "result" in answer, answer
    return [message for message in client.messages[mark:] if message is not answer and "method" not in message]


def frame(body: bytes | str) -> bytes:
    plain = body if isinstance(body, bytes) else body.encode("utf-8", "surrogatepass")
    return b"Content-Length: %d\r\n\r\n%b" % (len(plain), plain)


def errors(messages: Sequence[Message]) -> list[tuple[Any, int, str]]:
    """Id, code and reason of each; every one of them is an error that says so in one line, without a path."""
    for message in messages:
        assert set(message) == {"jsonrpc", "id", "error"}, message
        assert not _path.search(message["error"]["message"]), message
    return [(m["id"], m["error"]["code"], m["error"]["data"]["reason"]) for m in messages]


def events_of(client: RawClient, run_id: str, since: int = 0) -> list[dict[str, Any]]:
    """Every event of a run this client was sent, in order."""
    batches = [m["params"] for m in client.messages[since:] if m.get("method") == "workflow/eventsAppended"]
    return [event for batch in batches if batch["runId"] == run_id for event in batch["events"]]


def sequences_of(client: RawClient, run_id: str, since: int = 0) -> list[int]:
    return [event["sequence"] for event in events_of(client, run_id, since)]


def resident_bytes(pid: int) -> int:
    """The memory of a process that is in RAM; its children's is not counted."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def peak_bytes(pid: int) -> int:
    """The most memory a process ever had in RAM."""
    (line,) = [line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmHWM:")]
    return int(line.split()[1]) * 1024
