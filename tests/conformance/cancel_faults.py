"""Servers that break a row of the cancellation table, W15 or W16."""

from __future__ import annotations

from tests.conformance.fault import WAITING, Fault, Message


class LosesACancel(Fault):
    changes_input = True

    def from_host(self, message: Message) -> list[Message]:
        super().from_host(message)
        return [] if message.get("method") == "$/cancelRequest" else [message]


class AnswersACancelOfAnUnknownId(Fault):
    def from_host(self, message: Message) -> list[Message]:
        super().from_host(message)
        if message.get("method") == "$/cancelRequest" and message["params"]["id"] not in self.asked:
            error = {"code": -32602, "message": "no such request", "data": {"reason": "invalidParams"}}
            self.tell_host({"jsonrpc": "2.0", "id": message["params"]["id"], "error": error})
        return [message]


class AnswersACancelTwice(Fault):
    """Answers a request again when it is cancelled again, or too late."""

    def from_host(self, message: Message) -> list[Message]:
        if message.get("method") == "$/cancelRequest":
            number = message["params"]["id"]
            if number in self.cancelled or number in self.answered:
                error = {"code": -32800, "message": "cancelled", "data": {"reason": "requestCancelled", "runId": None}}
                self.tell_host({"jsonrpc": "2.0", "id": number, "error": error})
        return super().from_host(message)

    def from_server(self, message: Message) -> list[Message | bytes]:
        if self.method_of(message):
            self.answered.add(message["id"])
        return [message]


class RemembersACancel(Fault):
    """A cancel that comes before its request withdraws it."""

    changes_input = True

    def from_host(self, message: Message) -> list[Message]:
        came_first = message.get("id") in self.cancelled and message.get("method") in WAITING
        super().from_host(message)
        if came_first:
            error = {"code": -32800, "message": "cancelled", "data": {"reason": "requestCancelled", "runId": None}}
            self.tell_host({"jsonrpc": "2.0", "id": message["id"], "error": error})
            return []
        return [message]


class SucceedsThoughInterrupted(Fault):
    """A cancelled request is answered with a result."""

    def from_server(self, message: Message) -> list[Message | bytes]:
        data = message.get("error", {}).get("data", {})
        if self.method_of(message) not in WAITING or data.get("status") != "interrupted":
            return [message]
        steps = {"completed": 0, "reused": 0, "failed": 0, "running": 0}
        result = {"runId": data["runId"], "status": "interrupted", "sequence": data.get("sequence", 1), "steps": steps}
        return [{"jsonrpc": "2.0", "id": message["id"], "result": {**result, "reason": "cancelled"}}]


class DeniesTheRun(Fault):
    """A cancelled start says that it made no run, though it did."""

    def from_server(self, message: Message) -> list[Message | bytes]:
        data = message.get("error", {}).get("data", {})
        if self.method_of(message) == "workflow/start" and data.get("reason") == "requestCancelled":
            message["error"]["data"] = {"reason": "requestCancelled", "runId": None}
        return [message]


class StartsInSpiteOfItsCancel(Fault):
    """Like `DeniesTheRun` for the moment before the create: the run is made and goes on."""

    changes_input = True

    def from_host(self, message: Message) -> list[Message]:
        super().from_host(message)
        if message.get("method") == "$/cancelRequest" and message["params"]["id"] in self.asked:
            error = {"code": -32800, "message": "cancelled", "data": {"reason": "requestCancelled", "runId": None}}
            self.tell_host({"jsonrpc": "2.0", "id": message["params"]["id"], "error": error})
            return []
        return [message]


class SaysRunningOfACancelledResume(Fault):
    def from_server(self, message: Message) -> list[Message | bytes]:
        data = message.get("error", {}).get("data", {})
        if self.method_of(message) == "workflow/resume" and data.get("reason") == "requestCancelled":
            data["status"] = "running"
        return [message]


class InterruptsWhatOthersWaitFor(Fault):
    """Any cancel interrupts the run, whoever else waits for it."""

    changes_input = True
    run_id = ""

    def from_host(self, message: Message) -> list[Message]:
        super().from_host(message)
        if message.get("method") != "$/cancelRequest" or not self.run_id:
            return [message]
        params = {"runId": self.run_id, "wait": "durable"}
        return [{"jsonrpc": "2.0", "id": "of-the-fault", "method": "workflow/interrupt", "params": params}, message]

    def from_server(self, message: Message) -> list[Message | bytes]:
        if message.get("method") == "workflow/statusChanged":
            self.run_id = message["params"]["runId"]
        elif self.method_of(message) == "workflow/get":
            self.run_id = message["result"]["run"]["runId"]
        return [] if message.get("id") == "of-the-fault" else [message]


class CancelsWhatIsDone(Fault):
    """A cancelled request is answered requestCancelled, though its run has completed; it takes its time to answer."""

    held: Message | None = None

    def from_host(self, message: Message) -> list[Message]:
        super().from_host(message)
        if self.held is not None:
            answer, self.held = self.held, None
            self.tell_host(self.answer_to(answer))
        return [message]

    def from_server(self, message: Message) -> list[Message | bytes]:
        if self.method_of(message) == "workflow/start" and "result" in message:
            if message["id"] in self.cancelled:
                return [self.answer_to(message)]
            self.held = message
            return []
        return [message]

    def answer_to(self, message: Message) -> Message:
        if message["id"] not in self.cancelled:
            return message
        data = {"reason": "requestCancelled", "runId": message["result"]["runId"], "status": "interrupted"}
        error = {"code": -32800, "message": "cancelled", "data": {**data, "resumable": True, "quiescent": True}}
        return {"jsonrpc": "2.0", "id": message["id"], "error": error}


class CancelsWhatSomebodyInterrupted(Fault):
    """A start whose run somebody interrupted is answered with an error."""

    def from_server(self, message: Message) -> list[Message | bytes]:
        result = message.get("result")
        if self.method_of(message) == "workflow/start" and result.get("status") == "interrupted":
            data = {"reason": "requestCancelled", "runId": result["runId"], "status": "interrupted"}
            return [{"jsonrpc": "2.0", "id": message["id"], "error": {"code": -32800, "message": "", "data": data}}]
        return [message]


class CallsADrainACancel(Fault):
    def from_server(self, message: Message) -> list[Message | bytes]:
        error = message.get("error", {})
        if error.get("data", {}).get("reason") == "serverDraining":
            error["code"] = -32800
            error["data"]["reason"] = "requestCancelled"
        return [message]


class InterruptsACancelledBackgroundStart(Fault):
    """What a background start has made is interrupted when the start is cancelled."""

    changes_input = True

    def from_host(self, message: Message) -> list[Message]:
        super().from_host(message)
        return [] if message.get("method") == "$/cancelRequest" else [message]

    def from_server(self, message: Message) -> list[Message | bytes]:
        if self.method_of(message) == "workflow/start" and message["id"] in self.cancelled and "result" in message:
            params = {"runId": message["result"]["runId"], "wait": "durable"}
            self.tell_server({"jsonrpc": "2.0", "id": "of-the-fault", "method": "workflow/interrupt", "params": params})
        return [] if message.get("id") == "of-the-fault" else [message]
