"""
A host that dies: it spawns a server, starts a run, and leaves a grandchild that holds the server's stdin open.

    python nosy_host.py FOLDER PROCESS_ID COMMAND...

`PROCESS_ID` is what it says in `initialize`: a number, `null`, or `own`. It prints the server's id and the
grandchild's when the run's command waits for the pipe `gate`, then waits for its end.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

GATED = """
from sidestep import command

async def main():
    await command(["sh", "-c", "echo begun > gate; cat gate"], id="gated")
"""


def main(folder: str, process_id: str, *command: str) -> None:
    # The server keeps its end of stderr: nobody waits for this host's.
    server = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert server.stdin is not None
    # As a terminal emulator or a debugger of the host's would: it has every descriptor of its parent.
    grandchild = subprocess.Popen(
        ["sleep", "600"], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, pass_fds=[server.stdin.fileno()]
    )
    uri = Path(folder).resolve().as_uri()
    own = {"own": os.getpid(), "null": None}
    initialize = {
        "processId": own[process_id] if process_id in own else int(process_id),
        "rootUri": uri,
        "workspaceFolders": [{"uri": uri, "name": "w"}],
        "capabilities": {"experimental": {"workflow": {"protocolVersions": [1]}}},
        "initializationOptions": {"trust": {"folders": [uri]}, "autoResume": False},
    }
    messages = [
        {"id": 1, "method": "initialize", "params": initialize},
        {"method": "initialized", "params": {}},
        {"id": 2, "method": "workflow/start", "params": {"script": {"source": GATED, "name": "gated"}}},
    ]
    for message in messages:
        body = json.dumps({"jsonrpc": "2.0", **message}).encode()
        server.stdin.write(b"Content-Length: %d\r\n\r\n%b" % (len(body), body))
    server.stdin.flush()
    assert (Path(folder) / "gate").read_text() == "begun\n"
    print(server.pid, grandchild.pid, flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main(*sys.argv[1:])
