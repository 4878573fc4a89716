"""
A server of one page, to test the client against: standard library only, so that it starts at once.

It answers `echo` with its params, `fail` with an error, `long` with a text of that length, `ask` with what the client
answered to a request of ours; see `answer`. `slow` waits for its cancellation. Its exit code is 0 after `shutdown` and
`exit`, else 1.

`workflow/subscribe` is served by the plan in FAKE_PLAN: one act for each subscription, over all servers that have the
same FAKE_ASKED, a file in which each leaves a line with its cursor.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

CANCELLED = {"code": -32800, "message": "cancelled", "data": {"reason": "requestCancelled"}}
CAPABILITY = {
    "protocolVersion": 1,
    "serverVersion": "0",
    "schemaHash": "h",
    "storeId": None,
    "serverEpoch": "e",
    "features": [],
    "limits": {},
}


def read() -> dict[str, Any]:
    length = 0
    while (line := sys.stdin.buffer.readline()) not in (b"\r\n", b""):
        length = int(line.split(b":")[1])
    return json.loads(sys.stdin.buffer.read(length)) if length else sys.exit(1)


def frame(**message: Any) -> bytes:
    body = json.dumps({"jsonrpc": "2.0", **message}).encode()
    return b"Content-Length: %d\r\n\r\n" % len(body) + body


def write(**message: Any) -> None:
    raw(frame(**message))


def event(number: int, acts: dict[str, Any]) -> dict[str, Any]:
    """Event `number` of the journal: a status where the act has one, else a log line."""
    at = "2026-01-31T09:30:00.125Z"
    status = acts.get("statuses", {}).get(str(number))
    kind = {"type": "log", "message": f"line {number}"} if status is None else {"type": "status", "status": status}
    return {**kind, "sequence": number, "at": at}


def subscribe(request: Any, params: dict[str, Any]) -> None:
    """
    Answer with the events up to `to`, and go on as `then` says, all in one write: a list of numbers is a batch, a word
    a notification, `die` the end.
    """
    path = os.environ["FAKE_ASKED"]
    with open(path, "a+") as asked:
        asked.seek(0)
        number = len(asked.readlines())
        asked.write(f"{params.get('afterSequence', 0)}\n")
    act = json.loads(os.environ["FAKE_PLAN"])[number]
    after, run_id = params.get("afterSequence", 0), params["runId"]
    if "refuse" in act:
        write(id=request, error=act["refuse"])
        return
    events = [event(number, act) for number in act.get("reply", range(after + 1, act["to"] + 1))]
    frames = [frame(id=request, result=subscribed(run_id, act, events))]
    for then in act.get("then", []):
        told: dict[str, Any] = {"runId": run_id}
        if isinstance(then, list):
            told["events"] = [event(number, act) for number in then]
            frames.append(frame(method="workflow/eventsAppended", params=told))
        elif then == "lagged":
            frames.append(frame(method="workflow/lagged", params={**told, "lastSequence": 0}))
        elif then == "deleted":
            frames.append(frame(method="workflow/deleted", params={"runId": "root"}))
    raw(b"".join(frames))
    if "die" in act.get("then", []):
        os._exit(3)


def subscribed(run_id: str, act: dict[str, Any], events: list[dict[str, Any]]) -> dict[str, Any]:
    at = "2026-01-31T09:30:00.125Z"
    run = {"runId": run_id, "rootRunId": "root", "name": "n", "workspaceFolder": "file:///w", "createdAt": at}
    run |= {"status": act.get("status", "running"), "attention": "blocking", "updatedAt": at, "pending": 0}
    run |= {
        "sequence": act.get("sequence", act["to"]),
        "steps": {"completed": 0, "reused": 0, "failed": 0, "running": 0},
    }
    return {"run": run, "events": events, "liveFromSequence": act["to"] + 1, "pending": []}


def raw(text: bytes) -> None:
    sys.stdout.buffer.write(text)
    sys.stdout.buffer.flush()


def ask(params: dict[str, Any]) -> Any:
    """Ask the client; withdraw the question at once if told to."""
    write(id="s1", method=params["method"], params=params.get("params"))
    if params.get("withdraw"):
        write(method="$/cancelRequest", params={"id": "s1"})
    reply = read()
    return reply if params.get("raw") else {key: reply[key] for key in ("id", "result", "error") if key in reply}


def answer(method: str, params: dict[str, Any]) -> Any:
    match method:
        case "initialize":
            wanted = params["initializationOptions"].get("defaultAgent")
            return {"capabilities": {"experimental": {"workflow": wanted or CAPABILITY, "sent": params}}}
        case "tell":
            for told in params["told"]:
                write(method=told["method"], params=told["params"])
            return {}
        case "ask":
            return ask(params)
        case "withdraw":
            write(method="$/cancelRequest", params={"id": "s1"})
            return {}
        case "garbage":
            raw(b"printed by a library\nContent-Length: 1\r\n\r\n{")
            write(id=None, error={"code": -32700, "message": "no JSON"})
            return {}
        case "wrong":
            return params["result"]
        case "die":
            write(method="last/words", params={})
            os._exit(3)
        case "orphan":
            # A grandchild keeps our stdout open after our death, until its stdin, which is ours, closes.
            subprocess.Popen([sys.executable, "-c", "import sys; sys.stdin.read()"])
            os._exit(4)
        case "close":
            os.close(1)
            sys.stdin.read()
            sys.exit(5)
        case "flood stderr":
            os.write(2, b"log\n" * 100_000)
            return {}
        case _:
            return params


def main() -> None:
    stopped = False
    slow: list[Any] = []
    while True:
        message = read()
        if "method" not in message:
            # The answer to a question whose `ask` was content with another message.
            continue
        method, params, request = message["method"], message.get("params") or {}, message.get("id")
        match method:
            case "exit":
                sys.exit(0 if stopped else 1)
            case "$/cancelRequest":
                if params["id"] in slow:
                    write(id=params["id"], error=CANCELLED)
                    write(method="slow/ended", params=params)
                else:
                    write(method="cancelled/unknown", params=params)
            case "slow":
                slow.append(request)
                write(method="slow/began", params={"id": request})
            case "workflow/subscribe":
                subscribe(request, params)
            case "workflow/unsubscribe":
                write(method="unsubscribed", params=params)
                write(id=request, result={})
            case "long":
                members = {"id": request, "result": "x" * params["length"]}
                write(**(members if params["order"] == "id first" else dict(reversed(members.items()))))
            case "fail":
                write(id=request, error=params)
            case _ if request is not None:
                stopped = stopped or method == "shutdown"
                write(id=request, result=None if method == "shutdown" else answer(method, params))


if __name__ == "__main__":
    main()
