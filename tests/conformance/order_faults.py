"""Servers that break an order, G1 to G8."""

from __future__ import annotations

from tests.conformance.fault import Fault, Message, is_progress_end, is_status


class AnswersTwice(Fault):
    def from_server(self, message: Message) -> list[Message | bytes]:
        return [message, message] if self.method_of(message) == "workflow/start" else [message]


class DropsAnAnswer(Fault):
    dropped = False

    def from_server(self, message: Message) -> list[Message | bytes]:
        if self.method_of(message) == "workflow/list" and not self.dropped:
            self.dropped = True
            return []
        return [message]


class AnswersUnderAnotherId(Fault):
    def from_server(self, message: Message) -> list[Message | bytes]:
        return [{**message, "id": str(message["id"])}] if self.method_of(message) == "workflow/health" else [message]


class TellsBeforeItStores(Fault):
    """Whenever the host asks for the journal after it was told of an event, the event is not there yet."""

    newest = 0
    questions: frozenset[int | str] = frozenset()

    def from_host(self, message: Message) -> list[Message]:
        # Also the later ones: the first may have been asked because of the event before.
        if message.get("method") == "workflow/events" and self.newest:
            self.questions |= {message["id"]}
        return super().from_host(message)

    def from_server(self, message: Message) -> list[Message | bytes]:
        if is_status(message, "running"):
            self.newest = message["params"]["sequence"]
        elif self.method_of(message) and message["id"] in self.questions:
            result = message["result"]
            result["events"] = [event for event in result["events"] if event["sequence"] < self.newest]
            result.update(lastSequence=self.newest - 1, hasMore=False)
        return [message]


class SkipsASequence(Fault):
    def from_server(self, message: Message) -> list[Message | bytes]:
        told = message.get("params") if "method" in message else message.get("result")
        if isinstance(told, dict) and "events" in told:
            for event in told["events"]:
                event["sequence"] += event["sequence"] >= 4
        return [message]


class LosesAnEvent(Fault):
    def from_server(self, message: Message) -> list[Message | bytes]:
        if message.get("method") == "workflow/eventsAppended":
            events = message["params"]["events"]
            events[:] = [event for event in events if event["sequence"] != 4]
            return [message] if events else []
        return [message]


class SwapsTwoEvents(Fault):
    held: Message | None = None

    def from_server(self, message: Message) -> list[Message | bytes]:
        if message.get("method") != "workflow/eventsAppended":
            return [message]
        events = message["params"]["events"]
        if self.held is not None:
            first, self.held = self.held, None
            message["params"]["events"] = [events[0], first, *events[1:]]
        elif events[0]["sequence"] >= 3:
            self.held = events.pop(0)
            if len(events) > 0:
                events.insert(1, self.held)
                self.held = None
        return [message] if message["params"]["events"] else []


class ForgetsTheRequestId(Fault):
    def from_server(self, message: Message) -> list[Message | bytes]:
        if is_status(message, "pending"):
            message["params"].pop("requestId", None)
        return [message]


class ForgetsTheStartKey(Fault):
    def from_server(self, message: Message) -> list[Message | bytes]:
        if is_status(message, "pending"):
            message["params"].pop("startKey", None)
        return [message]


class BeginsTheProgressFirst(Fault):
    held: Message | None = None

    def from_server(self, message: Message) -> list[Message | bytes]:
        if is_status(message, "pending"):
            self.held = message
            return []
        if self.held is not None:
            first, self.held = self.held, None
            return [message, first]
        return [message]


class AnswersBeforeTheLastStatus(Fault):
    held: Message | None = None

    def from_server(self, message: Message) -> list[Message | bytes]:
        if is_status(message, "completed"):
            self.held = message
            return []
        if self.method_of(message) == "workflow/start" and self.held is not None:
            last, self.held = self.held, None
            return [message, last]
        return [message]


class EndsTheProgressAfterTheAnswer(Fault):
    held: Message | None = None

    def from_server(self, message: Message) -> list[Message | bytes]:
        if is_progress_end(message):
            self.held = message
            return []
        if self.method_of(message) == "workflow/start" and self.held is not None:
            last, self.held = self.held, None
            return [message, last]
        return [message]


class ReportsProgressAfterTheEnd(Fault):
    def from_server(self, message: Message) -> list[Message | bytes]:
        if not is_progress_end(message):
            return [message]
        late = {"token": message["params"]["token"], "value": {"kind": "report", "message": "late"}}
        return [message, {"jsonrpc": "2.0", "method": "$/progress", "params": late}]


class TellsTheEndTwice(Fault):
    def from_server(self, message: Message) -> list[Message | bytes]:
        return [message, message] if is_status(message, "completed") else [message]


class TellsEventsAfterTheStop(Fault):
    def from_server(self, message: Message) -> list[Message | bytes]:
        if not is_status(message, "completed"):
            return [message]
        told = message["params"]
        event = {"type": "log", "sequence": told["sequence"] + 1, "at": told["at"], "message": "late"}
        params = {"runId": told["runId"], "events": [event]}
        return [message, {"jsonrpc": "2.0", "method": "workflow/eventsAppended", "params": params}]


class RunsOnAfterAnInterrupt(Fault):
    """Tells `running` once more after the interrupt."""

    last: Message | None = None

    def from_server(self, message: Message) -> list[Message | bytes]:
        if is_status(message, "running"):
            self.last = message
        if is_status(message, "interrupted") and message["params"].get("quiescent") and self.last is not None:
            return [self.last, message]
        return [message]


class AnswersAnInterruptFirst(Fault):
    """Says it is done, and does it when the host has read the journal."""

    changes_input = True
    held: Message | None = None

    def from_host(self, message: Message) -> list[Message]:
        super().from_host(message)
        if message.get("method") != "workflow/interrupt":
            return [message]
        self.held = message
        done = {"runId": message["params"]["runId"], "status": "interrupted", "alreadyTerminal": False}
        self.tell_host({"jsonrpc": "2.0", "id": message["id"], "result": {**done, "quiescent": False, "sequence": 99}})
        return []

    def from_server(self, message: Message) -> list[Message | bytes]:
        if self.method_of(message) == "workflow/events" and self.held is not None:
            self.tell_server(self.held)
            self.held = None
        return [] if self.method_of(message) == "workflow/interrupt" else [message]


class SpeaksBeforeInitialize(Fault):
    def from_server(self, message: Message) -> list[Message | bytes]:
        if self.method_of(message) != "initialize":
            return [message]
        params = {"health": "ok", "activeRuns": 0}
        return [{"jsonrpc": "2.0", "method": "workflow/serverStatus", "params": params}, message]
