"""What a connection is told, and in which order: G2 to G5, batching, lagging, the pace of one status a second."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec.structs import replace

from sidestep.lsp.live_output import LiveOutput
from sidestep.lsp.notifier import Notifier
from sidestep.model.events import (
    InteractionChanged,
    InteractionStatus,
    JournalEvent,
    Logged,
    PhaseEntered,
    StatusChanged,
)
from sidestep.model.ports import Committed, Deleted
from sidestep.model.run import Attention, Owner, RunRecord, RunStatus
from sidestep.rpc.transport import Lane
from sidestep.settings import Settings

if TYPE_CHECKING:
    from sidestep.model.events import EventBody

RECORD = RunRecord(
    run_id="run_1",
    root_run_id="run_1",
    name="test",
    folder="/w",
    folder_uri="file:///w",
    status=RunStatus.PENDING,
    epoch=1,
    claim_epoch=1,
    owner=Owner("o", 1, 1),
    attention=Attention.BLOCKING,
    sequence=0,
    created_at_ms=0,
    updated_at_ms=0,
    source_hash="h",
    file=None,
    args_json="{}",
    args_schema_json="{}",
    script_ref="{}",
)


class FakeLoop:
    """Timers a test fires by moving time."""

    def __init__(self) -> None:
        self.now = 100.0
        self.timers: list[tuple[float, Any, tuple[Any, ...]]] = []

    def time(self) -> float:
        return self.now

    def call_at(self, when: float, callback: Any, *args: Any) -> Any:
        timer = (when, callback, args)
        self.timers.append(timer)
        return _Handle(self, timer)

    def call_later(self, delay: float, callback: Any, *args: Any) -> Any:
        return self.call_at(self.now + delay, callback, *args)

    def advance(self, seconds: float) -> None:
        self.now += seconds
        due = sorted((timer for timer in self.timers if timer[0] <= self.now), key=lambda timer: timer[0])
        for timer in due:
            if timer in self.timers:
                self.timers.remove(timer)
                timer[1](*timer[2])


class _Handle:
    def __init__(self, loop: FakeLoop, timer: Any) -> None:
        self._loop, self._timer = loop, timer

    def cancel(self) -> None:
        if self._timer in self._loop.timers:
            self._loop.timers.remove(self._timer)


class Told:
    """A notifier, the messages it sent, and commits of one run."""

    def __init__(self, *, mine: bool = True) -> None:
        self.loop = FakeLoop()
        self.sent: list[tuple[str, Any]] = []
        self.refuse_events = False
        self.record = RECORD
        self.is_mine = mine
        loop: Any = self.loop
        assert isinstance(loop, asyncio.AbstractEventLoop) or hasattr(loop, "call_at")
        self.notifier = Notifier(
            self._send,
            is_mine=lambda _: self.is_mine,
            is_mine_folder=lambda _: self.is_mine,
            request_of=lambda _: 7,
            settings=Settings(),
            loop=loop,
            end_output=lambda run_id: self.output.end(run_id),
        )
        self.output = LiveOutput(self._send, wants=self.notifier.follows_output, batch_s=0.05, loop=loop)

    def _send(self, method: str, params: object, lane: Lane = Lane.MUST) -> bool:
        if self.refuse_events and lane is Lane.LAGGABLE:
            return False
        self.sent.append((method.removeprefix("workflow/"), msgspec.to_builtins(params)))
        return True

    def commit(self, *bodies: EventBody, **changes: Any) -> None:
        first = self.record.sequence + 1
        events = tuple(JournalEvent(first + offset, 1, body) for offset, body in enumerate(bodies))
        self.record = replace(self.record, sequence=self.record.sequence + len(events), **changes)
        self.notifier.told(Committed(self.record, events))

    def status(self, status: RunStatus, **changes: Any) -> None:
        self.commit(StatusChanged(status=status, epoch=1, previous=self.record.status), status=status, **changes)

    @property
    def methods(self) -> list[str]:
        return [method for method, _ in self.sent]


def test_g3_the_pending_status_precedes_everything_else_and_carries_the_request() -> None:
    told = Told()
    told.notifier.follow("run_1", None, events=True, token="token")
    told.status(RunStatus.PENDING)
    told.status(RunStatus.RUNNING)
    assert told.methods == ["statusChanged", "$/progress", "eventsAppended", "statusChanged", "$/progress"]
    assert told.sent[0][1]["requestId"] == 7
    assert [event["sequence"] for event in told.sent[2][1]["events"]] == [1, 2]


def test_g4_at_the_end_come_the_events_then_the_status_then_the_progress_end() -> None:
    told = Told()
    told.notifier.follow("run_1", None, events=True, token="token")
    told.status(RunStatus.PENDING)
    told.status(RunStatus.RUNNING)
    told.commit(Logged(message="a"))
    told.sent.clear()
    told.status(RunStatus.COMPLETED, owner=None)
    assert told.methods == ["eventsAppended", "statusChanged", "$/progress"]
    assert told.sent[1][1]["quiescent"] is True
    assert told.sent[2][1]["value"]["kind"] == "end"


def test_g5_after_an_interrupt_one_status_with_quiescent_follows_and_no_more() -> None:
    told = Told()
    told.status(RunStatus.PENDING)
    told.commit(PhaseEntered(name="p"), phase="p")
    told.status(RunStatus.INTERRUPTED)
    told.sent.clear()
    told.commit(owner=None)
    told.loop.advance(10)
    assert [(method, params["quiescent"]) for method, params in told.sent] == [("statusChanged", True)]


def test_g4_g5_what_a_run_prints_comes_before_its_stop_or_not_at_all() -> None:
    told = Told()
    told.notifier.follow("run_1", None, events=True)
    told.status(RunStatus.PENDING)
    told.output.told("run_1", "s", "stdout", b"last words")
    told.sent.clear()
    told.status(RunStatus.INTERRUPTED)
    assert told.methods == ["output", "eventsAppended", "statusChanged"]
    told.output.told("run_1", "s", "stdout", b"too late")
    told.commit(owner=None)
    told.loop.advance(1)
    assert told.methods[3:] == ["statusChanged"]


def test_w21_what_waits_of_a_stream_that_has_ended_is_dropped() -> None:
    """G5: nobody follows it any more; with the next stream only what is new comes."""
    told = Told()
    told.status(RunStatus.RUNNING)
    told.notifier.follow("run_1", told.record, events=True)
    told.output.told("run_1", "s", "stdout", b"gone \xe2")
    told.notifier.unsubscribe("run_1")
    told.notifier.follow("run_1", told.record, events=True)
    told.output.told("run_1", "s", "stdout", b"new")
    told.loop.advance(1)
    assert [params["text"] for method, params in told.sent if method == "output"] == ["new"]


def test_w21_a_run_of_a_closed_folder_is_forgotten_unless_it_is_followed_or_was_asked_for() -> None:
    plain, followed, requested = Told(), Told(), Told()
    requested.notifier.follow("run_1", None)
    for told in (plain, followed, requested):
        told.status(RunStatus.RUNNING)
    followed.notifier.subscribe(followed.record, followed.record.sequence, lambda _: None)
    for told in (plain, followed, requested):
        told.notifier.folders_closed()
        told.is_mine = False
        told.notifier.folders_closed()
        told.sent.clear()
        told.commit(PhaseEntered(name="p"), phase="p")
        told.status(RunStatus.COMPLETED, owner=None)
        told.loop.advance(2)
    assert plain.sent == []
    assert "statusChanged" in followed.methods
    assert requested.methods == ["statusChanged"]


def test_g2_events_are_batched_for_at_most_50_ms_in_order() -> None:
    told = Told()
    told.notifier.follow("run_1", None, events=True)
    told.status(RunStatus.PENDING)
    told.status(RunStatus.RUNNING)
    told.sent.clear()
    told.commit(Logged(message="a"))
    told.commit(Logged(message="b"), Logged(message="c"))
    assert told.sent == []
    told.loop.advance(0.05)
    assert told.methods == ["eventsAppended"]
    assert [event["message"] for event in told.sent[0][1]["events"]] == ["a", "b", "c"]


def test_only_followed_runs_send_events_and_only_own_runs_send_statuses() -> None:
    told = Told()
    told.status(RunStatus.PENDING)
    told.commit(Logged(message="a"))
    told.loop.advance(1)
    assert told.methods == ["statusChanged"]
    foreign = Told(mine=False)
    foreign.status(RunStatus.PENDING)
    assert foreign.sent == []


def test_a_run_that_is_followed_late_sends_only_what_comes_later() -> None:
    told = Told()
    told.status(RunStatus.PENDING)
    told.status(RunStatus.RUNNING)
    told.notifier.follow("run_1", told.record, events=True)
    told.commit(Logged(message="new"))
    told.loop.advance(1)
    events = [params["events"] for method, params in told.sent if method == "eventsAppended"]
    assert [[event["sequence"] for event in batch] for batch in events] == [[3]]


def test_a_run_that_did_not_come_into_being_leaves_nothing_behind() -> None:
    told = Told(mine=False)
    undo = told.notifier.follow("run_1", None, events=True, token="token")
    undo()
    assert told.notifier.run_of("token") is None
    told.status(RunStatus.PENDING)
    assert told.sent == []


def test_a_host_that_does_not_read_lags_until_it_follows_again() -> None:
    told = Told()
    told.notifier.follow("run_1", None, events=True)
    told.status(RunStatus.PENDING)
    told.sent.clear()
    told.refuse_events = True
    told.status(RunStatus.RUNNING)
    assert told.sent[0] == ("lagged", {"runId": "run_1", "lastSequence": 0})
    told.refuse_events = False
    told.commit(Logged(message="a"))
    told.loop.advance(1)
    assert told.methods == ["lagged", "statusChanged"]
    told.notifier.follow("run_1", None, events=True)
    told.commit(Logged(message="b"))
    told.loop.advance(1)
    assert told.methods[-1] == "eventsAppended"


def test_phases_change_the_status_at_most_once_a_second() -> None:
    told = Told()
    told.status(RunStatus.PENDING)
    told.status(RunStatus.RUNNING)
    told.sent.clear()
    for name in ("a", "b", "c"):
        told.commit(PhaseEntered(name=name), phase=name)
    assert told.sent == []
    told.loop.advance(1)
    assert [params["summary"]["phase"] for _, params in told.sent] == ["c"]
    told.commit(PhaseEntered(name="d"), phase="d")
    told.loop.advance(0.5)
    assert len(told.sent) == 1
    told.loop.advance(0.5)
    assert len(told.sent) == 2


def test_progress_reports_phases_and_ends_when_the_run_goes_to_the_background() -> None:
    told = Told()
    told.notifier.follow("run_1", None, token=5)
    assert told.notifier.run_of(5) == "run_1"
    told.status(RunStatus.PENDING)
    told.commit(PhaseEntered(name="dig"), phase="dig")
    for _ in range(100):
        told.commit(Logged(message="a line is no news of the phase"))
    told.loop.advance(1)
    told.status(RunStatus.BACKGROUNDED)
    told.commit(PhaseEntered(name="fill"), phase="fill")
    values = [params["value"] for method, params in told.sent if method == "$/progress"]
    assert [(value["kind"], value["message"]) for value in values] == [
        ("begin", "pending"),
        ("report", "dig"),
        ("end", "backgrounded"),
    ]
    assert told.notifier.run_of(5) is None


def test_progress_of_a_run_that_is_active_already_begins_at_once() -> None:
    told = Told()
    told.status(RunStatus.PENDING)
    told.status(RunStatus.RUNNING)
    told.notifier.follow("run_1", told.record, token="late")
    assert told.sent[-1][1]["value"]["kind"] == "begin"
    told.status(RunStatus.COMPLETED, owner=None)
    assert told.sent[-1][1]["value"]["kind"] == "end"


def test_progress_of_a_run_of_another_process_begins_when_it_is_joined() -> None:
    told = Told(mine=False)
    told.record = replace(RECORD, status=RunStatus.RUNNING, phase="dig", sequence=2)
    told.notifier.follow("run_1", told.record, token="joined")
    assert [params["value"]["kind"] for _, params in told.sent] == ["begin"]
    told.status(RunStatus.COMPLETED, owner=None)
    assert told.sent[-1][1]["value"]["kind"] == "end"


def test_g5_a_quiescent_run_whose_row_changes_again_is_not_told_again() -> None:
    told = Told()
    told.status(RunStatus.PENDING)
    told.status(RunStatus.INTERRUPTED)
    told.commit(owner=None)
    told.sent.clear()
    told.commit(epoch=9)
    assert told.sent == []


def test_g5_a_late_step_comes_before_the_word_that_nothing_is_left() -> None:
    told = Told()
    told.notifier.follow("run_1", None, events=True)
    told.status(RunStatus.PENDING)
    told.status(RunStatus.INTERRUPTED)
    told.sent.clear()
    told.commit(Logged(message="late"))
    told.commit(owner=None)
    assert told.methods == ["eventsAppended", "statusChanged"]


def test_a_deleted_run_is_told_for_an_open_folder_and_for_what_is_followed() -> None:
    gone = Deleted("run_1", "/w", mine=False)
    for told in (Told(), Told(mine=False)):
        told.notifier.follow("run_1", None, events=True)
        told.status(RunStatus.PENDING)
        told.sent.clear()
        told.notifier.deleted(gone)
        assert told.sent == [("deleted", {"runId": "run_1"})]
        # Nothing of it comes afterwards.
        told.loop.advance(5)
        assert len(told.sent) == 1


def test_a_deleted_run_of_another_folder_is_not_told() -> None:
    told = Told(mine=False)
    told.notifier.deleted(Deleted("run_1", "/elsewhere"))
    assert told.sent == []


def test_g5_another_window_is_told_once_that_a_run_is_quiescent() -> None:
    told = Told()
    told.status(RunStatus.RUNNING)
    told.status(RunStatus.INTERRUPTED)
    told.sent.clear()
    told.record = replace(told.record, owner=None)
    for _ in range(2):
        told.notifier.told(Committed(told.record, (), mine=False))
    assert [(method, params["quiescent"]) for method, params in told.sent] == [("statusChanged", True)]


def test_j10_until_a_run_is_claimed_what_is_told_is_about_the_execution_before() -> None:
    """G4, G5: the end of the old execution does not end what was asked for the new one."""
    told = Told()
    told.status(RunStatus.RUNNING)
    told.notifier.follow("run_1", None, events=True, token="token")
    told.status(RunStatus.INTERRUPTED)
    told.commit(owner=None)
    told.loop.advance(1)
    assert told.methods == ["statusChanged", "statusChanged", "statusChanged"]
    told.sent.clear()
    told.status(RunStatus.RUNNING, owner=Owner("p", 2, 2))
    told.status(RunStatus.COMPLETED, owner=None)
    told.loop.advance(1)
    events = [
        event["sequence"] for method, params in told.sent if method == "eventsAppended" for event in params["events"]
    ]
    assert events == [3, 4]
    progress = [params["value"]["kind"] for method, params in told.sent if method == "$/progress"]
    assert (progress[0], progress[-1]) == ("begin", "end")


def test_g5_a_claim_that_came_to_nothing_leaves_nothing_behind() -> None:
    told = Told()
    told.status(RunStatus.RUNNING)
    told.status(RunStatus.INTERRUPTED, owner=None)
    undo = told.notifier.follow("run_1", None, events=True, token="token")
    undo()
    told.sent.clear()
    told.status(RunStatus.RUNNING, owner=Owner("p", 2, 2))
    told.status(RunStatus.COMPLETED, owner=None)
    assert told.methods == ["statusChanged", "statusChanged"]


def asked(status: InteractionStatus = InteractionStatus.ASKED) -> InteractionChanged:
    return InteractionChanged(interaction_id="ask_1", kind="question", status=status, step_id="s")


def test_a_status_is_told_when_open_questions_change_at_most_once_a_second() -> None:
    """P7: asked, answered and asked again within a second are one more status."""
    told = Told()
    told.status(RunStatus.PENDING)
    told.status(RunStatus.RUNNING)
    told.commit(asked(), pending=1)
    told.commit(asked(InteractionStatus.ANSWERED), pending=0)
    told.commit(asked(), pending=1)
    assert told.methods == ["statusChanged"] * 2
    told.loop.advance(1)
    assert told.methods == ["statusChanged"] * 3
    assert told.sent[-1][1]["summary"]["pending"] == 1
    assert "previous" not in told.sent[-1][1]
    told.loop.advance(5)
    assert told.methods == ["statusChanged"] * 3


def test_a_root_tells_the_questions_of_its_nested_runs_which_change_its_row_alone() -> None:
    told = Told()
    # Another window's run, of which nothing was told yet.
    told.record = replace(told.record, status=RunStatus.RUNNING, sequence=2)
    told.commit(pending=1)
    told.loop.advance(1)
    assert [params["summary"]["pending"] for _, params in told.sent] == [1]
    told.commit(pending=1)
    told.loop.advance(5)
    assert len(told.sent) == 1, "nothing has changed"


def test_g5_of_a_stopped_run_an_answer_tells_no_status() -> None:
    """P7, G5: what follows a stop are answers, as events, and one status that it is quiescent."""
    told = Told()
    told.status(RunStatus.PENDING)
    told.status(RunStatus.RUNNING)
    told.commit(asked(), pending=1)
    told.status(RunStatus.INTERRUPTED)
    count = len(told.sent)
    told.commit(asked(InteractionStatus.ANSWERED), pending=0)
    told.loop.advance(5)
    assert len(told.sent) == count
