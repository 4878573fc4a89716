"""Servers that break something else: framing, exits, payloads, what a slow host is told, what a crash leaves."""

from __future__ import annotations

from tests.conformance.fault import Fault, Message, is_status


class WritesNoise(Fault):
    def from_server(self, message: Message) -> list[Message | bytes]:
        return [b"a stray print\n", message] if is_status(message, "running") else [message]


class RenamesPayloadKeys(Fault):
    """Takes the keys of the user's data for its own, and writes them in camelCase."""

    def from_server(self, message: Message) -> list[Message | bytes]:
        data = (message.get("result") or {}).get("result", {}).get("data") if "method" not in message else None
        if isinstance(data, dict):
            message["result"]["result"]["data"] = {_camel(key): value for key, value in data.items()}
        return [message]


class LeavesOutAField(Fault):
    def from_server(self, message: Message) -> list[Message | bytes]:
        if message.get("method") == "workflow/statusChanged":
            del message["params"]["attention"]
        return [message]


class DropsLagged(Fault):
    def from_server(self, message: Message) -> list[Message | bytes]:
        return [] if message.get("method") == "workflow/lagged" else [message]


class DropsStatusesUnderLoad(Fault):
    has_much = False

    def from_server(self, message: Message) -> list[Message | bytes]:
        self.has_much = self.has_much or message.get("method") == "workflow/lagged"
        return [] if self.has_much and is_status(message, "completed") else [message]


class SaysNothingToBadFrames(Fault):
    def from_server(self, message: Message) -> list[Message | bytes]:
        return [] if message.get("error") and message.get("id") is None else [message]


class EndsWith0(Fault):
    def exit_code(self, code: int) -> int:
        return 0


class ServesAfterShutdown(Fault):
    def from_server(self, message: Message) -> list[Message | bytes]:
        if message.get("error", {}).get("data", {}).get("reason") == "afterShutdown":
            return [{"jsonrpc": "2.0", "id": message["id"], "result": {}}]
        return [message]


class HidesTheCrash(Fault):
    def from_server(self, message: Message) -> list[Message | bytes]:
        for run in (message.get("result") or {}).get("runs", []):
            if run.get("reason") == "crash":
                run.update(status="running", reason=None)
        return [message]


class NumbersAnewAfterARestart(Fault):
    """Events of an earlier server are forgotten: the journal begins with what this one saw."""

    def from_server(self, message: Message) -> list[Message | bytes]:
        result = message.get("result")
        saw_the_start = any(asked.get("method") == "workflow/start" for asked in self.asked.values())
        if self.method_of(message) == "workflow/events" and not saw_the_start:
            result["events"] = [{**e, "sequence": e["sequence"] - 2} for e in result["events"][2:]]
        return [message]


def _camel(key: str) -> str:
    first, *rest = key.split("_")
    return first + "".join(word.title() for word in rest)
