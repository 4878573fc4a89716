"""The questions before one client: when they come, when they are taken down, what its answers do. P7, W25, G5."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from sidestep.lsp.interactions import SHOWN_MAX, TRIES_MAX, Interactions
from sidestep.model.events import InteractionChanged, InteractionStatus
from sidestep.model.questions import Choice, Question, QuestionKind, interaction_id
from sidestep.model.run import RunStatus
from sidestep.model.writes import Ask
from sidestep.rpc.envelope import Response
from sidestep.settings import Settings
from sidestep.store.memory import InMemoryRunStore
from tests.support.fake_clock import FakeClock
from tests.support.service_harness import Harness

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from sidestep.rpc.outbound import Settle

RUN = "run_a000000000000001"
CHOICE = """
from sidestep import ask

async def main():
    return {"report": await ask("Ship it?", id="ship", choices=["yes", "no"])}
"""
TEXT = """
from sidestep import ask

async def main():
    return {"report": await ask("Why?", id="why")}
"""
FORM = """
from sidestep import ask

async def main():
    return {"data": await ask("Which?", id="which", schema={"type": "integer"})}
"""
TIMED = """
from sidestep import ask

async def main():
    try:
        await ask("Ship it?", id="ship", timeout_s=10)
    except TimeoutError:
        return "nobody answered"
"""
MANY = """
from sidestep import ask, parallel

async def main(count: int):
    await parallel([ask(f"{n}?", id=f"q:{n}") for n in range(count)])
"""
TWICE = """
from sidestep import ask

async def main():
    await ask("First?", id="first")
    await ask("Second?", id="second")
"""
PARENT = """
from sidestep import workflow

async def main():
    return await workflow("child", id="below")
"""


class Client:
    """A client, as the session sees it: what it was sent, and its answers."""

    def __init__(self, h: Harness, *, interacts: bool = True, name: str = "window") -> None:
        self.sent: list[tuple[str, Any]] = []
        self.withdrawn: list[str] = []
        self.is_mine = True
        self._settles: dict[str, Settle] = {}
        self._changed = asyncio.Condition()
        self.interactions = Interactions(
            self,
            is_mine_folder=lambda folder: self.is_mine and folder == h.folder.path,
            can_interact=lambda: interacts,
            answers_as=lambda: name,
        )
        self._h = h
        self.interactions.attend(h.service)

    def begin(self) -> Client:
        self.interactions.begin([self._h.folder])
        return self

    def notify(self, method: str, params: object) -> bool:
        self._note(method, params)
        return True

    def ask(self, method: str, params: object, settle: Settle) -> str:
        request_id = f"sidestep-{len(self.sent)}"
        self._settles[request_id] = settle
        self._note(method, params)
        return request_id

    def withdraw(self, request_id: str) -> None:
        self.withdrawn.append(request_id)

    def of(self, method: str) -> list[Any]:
        return [params for sent, params in self.sent if sent == method]

    @property
    def asked(self) -> list[Any]:
        return self.of("workflow/interact")

    @property
    def resolved(self) -> list[str]:
        return [params["by"] for params in self.of("workflow/interactionResolved")]

    async def count(self, method: str, count: int) -> list[Any]:
        """Wait for so many messages of a method."""
        async with self._changed:
            await self._changed.wait_for(lambda: len(self.of(method)) >= count)
        return self.of(method)

    def reply(self, result: Any = None, error: Any = None, *, raw: bytes | None = None) -> None:
        """Answer the last request."""
        request_id = list(self._settles)[-1]
        answer = msgspec.Raw(raw if raw is not None else msgspec.json.encode(result))
        told = None if error is None else msgspec.Raw(msgspec.json.encode(error))
        self._settles[request_id](Response(request_id, None if error else answer, told))

    def vanish(self) -> None:
        for settle in self._settles.values():
            settle(None)

    def _note(self, method: str, params: object) -> None:
        self.sent.append((method, msgspec.to_builtins(params)))
        self._waking = asyncio.ensure_future(self._wake())

    async def _wake(self) -> None:
        async with self._changed:
            self._changed.notify_all()


async def asking(client: Client, count: int = 1) -> Any:
    """The last of so many `workflow/interact`."""
    return (await client.count("workflow/interact", count))[count - 1]


async def open_one(h: Harness, run_id: str = RUN) -> Question:
    expected = h.service.listeners.expect(run_id, lambda record: record.pending == 1)
    with contextlib.suppress(Exception):
        if (await h.store.read(run_id)).pending == 1:
            expected.cancel()
    if not expected.cancelled():
        await expected
    (question,) = await h.store.open_questions(run_id)
    return question


async def settled(h: Harness) -> None:
    """Whatever was set going has been done: a commit of another run went its whole way after it."""
    await h.completed("async def main():\n    return 1\n")
    for _ in range(20):
        await asyncio.sleep(0)


async def test_p7_a_question_asked_in_this_session_is_asked_once_and_its_answer_completes_the_step(
    tmp_path: Path,
) -> None:
    async with Harness(tmp_path) as h:
        client = Client(h).begin()
        task = h.start(CHOICE)
        asked = await asking(client)
        assert asked == {
            "interactionId": interaction_id(RUN, (await h.store.read_steps(RUN)).items[0].key),
            "runId": RUN,
            "stepId": "ship",
            "kind": "question",
            "title": "Ship it?",
            "choices": [{"id": "yes", "title": "yes"}, {"id": "no", "title": "no"}],
            "redelivery": False,
        }
        client.reply({"answer": "no"})
        record = (await task).record
        assert record.result is not None
        assert record.result.report == "no"
        assert (len(client.asked), client.resolved, client.withdrawn) == (1, ["window"], [])


async def test_p7_what_was_open_before_the_client_came_is_asked_as_a_redelivery(tmp_path: Path) -> None:
    async with Harness(tmp_path) as h:
        task = h.start(CHOICE)
        await open_one(h)
        client = Client(h)
        await settled(h)
        assert client.sent == [], "nothing before the client is ready"
        client.begin()
        assert (await asking(client))["redelivery"] is True
        client.reply({"answer": "yes"})
        assert (await task).record.status is RunStatus.COMPLETED


async def test_p7_g5_a_stop_takes_the_question_down_and_going_on_asks_it_again(tmp_path: Path) -> None:
    async with Harness(tmp_path) as h:
        client = Client(h).begin()
        h.service.listeners.listen(lambda committed: client.notify("told", {"status": committed.record.status.value}))
        task = h.start(CHOICE)
        first = await asking(client)
        await h.service.interrupt(RUN, by="person")
        await task
        methods = [(method, params.get("by", params.get("status"))) for method, params in client.sent]
        stop = methods.index(("told", "interrupted"))
        assert ("workflow/interactionResolved", "run") in methods[:stop], "taken down before the stop is told"
        assert len(client.withdrawn) == 1
        resumed = h.resume(RUN)
        again = await asking(client, 2)
        assert again == {**first, "redelivery": True}
        client.reply({"answer": "yes"})
        assert (await resumed).status is RunStatus.COMPLETED
        assert client.resolved == ["run", "window"]


async def test_p7_w25_the_first_of_two_windows_wins_and_the_others_request_is_withdrawn(tmp_path: Path) -> None:
    async with Harness(tmp_path) as h:
        one, two = Client(h, name="one").begin(), Client(h, name="two").begin()
        task = h.start(CHOICE)
        await asking(one)
        await asking(two)
        one.reply({"answer": "no"})
        two.reply({"answer": "yes"})
        record = (await task).record
        assert record.result is not None
        assert record.result.report == "no"
        assert one.resolved == two.resolved == ["one"]
        given = [e.body for e in await h.events(RUN) if isinstance(e.body, InteractionChanged)]
        assert [body.status for body in given] == [InteractionStatus.ASKED, InteractionStatus.ANSWERED]


async def test_p7_an_answer_given_elsewhere_withdraws_the_request_and_a_late_one_is_ignored(tmp_path: Path) -> None:
    """P7, W25."""
    async with Harness(tmp_path) as h:
        client = Client(h).begin()
        task = h.start(CHOICE)
        asked = await asking(client)
        await h.service.answer(asked["interactionId"], "yes", by="terminal")
        assert (len(client.withdrawn), client.resolved) == (1, ["terminal"])
        client.reply({"answer": "no"})
        record = (await task).record
        assert record.result is not None
        assert record.result.report == "yes"
        await settled(h)
        assert client.of("window/showMessage") == []


async def test_p7_a_question_whose_time_is_up_is_taken_down(tmp_path: Path) -> None:
    async with Harness(tmp_path) as h:
        client = Client(h).begin()
        task = h.start(TIMED)
        await asking(client)
        h.clock.advance(10)
        await task
        assert (len(client.withdrawn), client.resolved) == (1, ["run"])


@pytest.mark.parametrize(
    "reply",
    [
        lambda client: client.reply(error={"code": -1, "message": "not now"}),
        lambda client: client.reply(None),
        lambda client: client.vanish(),
    ],
    ids=["error", "null", "gone"],
)
async def test_w25_no_answer_leaves_the_question_open_and_asks_nothing_more(
    tmp_path: Path, reply: Callable[[Client], None]
) -> None:
    async with Harness(tmp_path) as h:
        client = Client(h).begin()
        task = h.start(CHOICE)
        asked = await asking(client)
        reply(client)
        await settled(h)
        assert (len(client.asked), client.of("window/showMessage"), client.withdrawn) == (1, [], [])
        assert (await h.store.read(RUN)).pending == 1
        await h.service.answer(asked["interactionId"], "yes", by="terminal")
        assert (await task).record.status is RunStatus.COMPLETED
        assert client.resolved == ["terminal"]


async def test_w25_a_form_that_was_closed_leaves_the_question_open(tmp_path: Path) -> None:
    async with Harness(tmp_path) as h:
        client = Client(h).begin()
        h.start(FORM)
        await asking(client)
        client.reply({"answer": None})
        await settled(h)
        assert (len(client.asked), client.of("window/showMessage")) == (1, [])
        await h.service.interrupt(RUN, by="person")


@pytest.mark.parametrize("wrong", [{"answer": "maybe"}, {}, "yes", 7, [], {"answer": {"deep": [1]}}, {"yes": 1}])
async def test_w25_an_answer_that_does_not_fit_is_told_and_asked_for_again_so_often_and_no_oftener(
    tmp_path: Path, wrong: Any
) -> None:
    async with Harness(tmp_path) as h:
        client = Client(h).begin()
        h.start(CHOICE)
        for number in range(1, TRIES_MAX + 1):
            assert (await asking(client, number))["redelivery"] is (number > 1)
            client.reply(wrong)
            told = (await client.count("window/showMessage", number))[-1]
            assert told["type"] == 2
            assert told["message"].startswith("test: the answer was not taken: ")
            if wrong in ({"answer": "maybe"}, {"answer": {"deep": [1]}}):
                expected = "test: the answer was not taken: it is none of the choices: 'yes', 'no'."
                assert told["message"].startswith(expected)
        assert f"sidestep runs answer {RUN}" in told["message"]
        await settled(h)
        assert len(client.asked) == TRIES_MAX
        assert (await h.store.read(RUN)).pending == 1
        await h.service.interrupt(RUN, by="person")


@pytest.mark.parametrize("raw", [b'{"answer":"\\ud800"}', b'{"answer":"\xff"}', b'{"answer":', b"[" * 3000])
async def test_w25_an_answer_that_cannot_be_read_is_none(tmp_path: Path, raw: bytes) -> None:
    """Half a surrogate pair, which no script could be given, and whatever else is no JSON text."""
    async with Harness(tmp_path) as h:
        client = Client(h).begin()
        task = h.start(TEXT)
        await asking(client)
        client.reply(raw=raw)
        await asking(client, 2)
        client.reply({"answer": "because \N{PILE OF POO}"})
        record = (await task).record
        assert record.result is not None
        assert record.result.report == "because \N{PILE OF POO}"


async def test_w25_answers_twice_are_one_answer(tmp_path: Path) -> None:
    async with Harness(tmp_path) as h:
        client = Client(h).begin()
        task = h.start(CHOICE)
        await asking(client)
        client.reply({"answer": "yes"})
        client.reply({"answer": "no"})
        record = (await task).record
        assert record.result is not None
        assert record.result.report == "yes"
        assert client.resolved == ["window"]


async def test_without_the_capability_choices_are_the_actions_of_a_message(tmp_path: Path) -> None:
    """P7, W25: a choice's title is its id; a title that was not offered is asked for again."""
    async with Harness(tmp_path) as h:
        client = Client(h, interacts=False).begin()
        task = h.start(CHOICE)
        (asked,) = await client.count("window/showMessageRequest", 1)
        assert asked == {"type": 3, "message": "test: Ship it?", "actions": [{"title": "yes"}, {"title": "no"}]}
        client.reply({"title": "maybe"})
        await client.count("window/showMessageRequest", 2)
        client.reply({"title": "no"})
        record = (await task).record
        assert record.result is not None
        assert record.result.report == "no"
        assert client.asked == []


async def test_without_the_capability_a_message_says_how_to_answer_a_question_without_choices(tmp_path: Path) -> None:
    async with Harness(tmp_path) as h:
        client = Client(h, interacts=False).begin()
        h.start(TEXT)
        (told,) = await client.count("window/showMessage", 1)
        question = await open_one(h)
        assert told["message"] == (
            f"test: Why?\nAnswer it with: sidestep runs answer {RUN} --interaction {question.interaction_id} TEXT"
        )
        await h.service.interrupt(RUN, by="person")
        assert client.resolved == ["run"]


async def test_only_questions_of_open_folders_are_asked(tmp_path: Path) -> None:
    async with Harness(tmp_path) as h:
        client = Client(h)
        client.is_mine = False
        client.begin()
        h.start(CHOICE)
        await open_one(h)
        await settled(h)
        assert client.sent == []
        client.is_mine = True
        client.begin()
        await asking(client)
        client.is_mine = False
        client.interactions.folders_closed()
        assert len(client.withdrawn) == 1
        client.is_mine = True
        client.begin()
        assert (await asking(client, 2))["redelivery"] is True
        await h.service.interrupt(RUN, by="person")


async def test_p7_a_nested_runs_question_comes_with_its_own_run_and_counts_at_the_root(tmp_path: Path) -> None:
    async with Harness(tmp_path) as h:
        workflows = tmp_path / "workspace" / ".sidestep" / "workflows"
        workflows.mkdir(parents=True, exist_ok=True)
        (workflows / "child.py").write_text(CHOICE)
        client = Client(h).begin()
        task = h.start(PARENT)
        asked = await asking(client)
        assert asked["runId"] != RUN
        assert (await h.store.read(RUN)).pending == (await h.store.read(asked["runId"])).pending == 1
        await h.service.interrupt(RUN, by="person")
        await task
        assert client.resolved == ["run"]
        resumed = h.resume(RUN)
        again = await asking(client, 2)
        assert again == {**asked, "redelivery": True}
        client.reply({"answer": "yes"})
        assert (await resumed).status is RunStatus.COMPLETED


async def test_a_permission_goes_the_same_road(tmp_path: Path) -> None:
    async with Harness(tmp_path) as h:
        client, plain = Client(h).begin(), Client(h, interacts=False).begin()
        h.start(CHOICE)
        asked = await asking(client)
        record = await h.store.read(RUN)
        permission = Question(
            interaction_id="ask_permission",
            run_id=RUN,
            root_run_id=RUN,
            step_id="ship",
            kind=QuestionKind.PERMISSION,
            title="Run rm?",
            detail="in /",
            asked_at_ms=0,
            choices=(Choice("allow", "Allow"), Choice("deny", "Deny")),
        )
        await h.store.write(Ask(RUN, record.claim_epoch, permission))
        second = await asking(client, 2)
        assert (second["kind"], second["detail"]) == ("permission", "in /")
        (_, message) = await plain.count("window/showMessageRequest", 2)
        assert message["type"] == 2
        assert message["message"] == "test: Run rm?\nin /"
        plain.reply({"title": "Deny"})
        await client.count("workflow/interactionResolved", 1)
        stored = await h.store.read_question("ask_permission")
        assert stored is not None
        assert stored.answer == "deny"
        await h.service.answer(asked["interactionId"], "yes", by="x")


@pytest.mark.slow
async def test_no_more_than_so_many_stand_before_a_client_and_the_others_follow(tmp_path: Path) -> None:
    async with Harness(tmp_path) as h:
        client = Client(h).begin()
        h.start(MANY, args={"count": SHOWN_MAX + 2})
        asked = await client.count("workflow/interact", SHOWN_MAX)
        expected = h.service.listeners.expect(RUN, lambda record: record.pending == SHOWN_MAX + 2)
        if (await h.store.read(RUN)).pending < SHOWN_MAX + 2:
            await expected
        await settled(h)
        assert len(client.asked) == SHOWN_MAX
        await h.service.answer(asked[0]["interactionId"], "x", by="x")
        await asking(client, SHOWN_MAX + 1)
        await settled(h)
        assert len(client.asked) == SHOWN_MAX + 1
        await h.service.interrupt(RUN, by="person")


@pytest.mark.slow
async def test_what_a_person_declined_takes_no_place_of_what_is_still_to_be_asked(tmp_path: Path) -> None:
    """It stays open, and is not asked of this client again."""
    async with Harness(tmp_path) as h:
        client = Client(h).begin()
        h.start(MANY, args={"count": SHOWN_MAX + 2})
        await client.count("workflow/interact", SHOWN_MAX)
        await h.reached(RUN, lambda record: record.pending == SHOWN_MAX + 2)
        client.reply(None)
        await asking(client, SHOWN_MAX + 1)
        client.reply(error={"code": -32601, "message": "no"})
        asked = [await asking(client, number) for number in range(1, SHOWN_MAX + 3)]
        await settled(h)
        assert len({each["interactionId"] for each in asked}) == len(client.asked) == SHOWN_MAX + 2
        assert (await h.store.read(RUN)).pending == SHOWN_MAX + 2
        await h.service.interrupt(RUN, by="person")


class SlowStore(InMemoryRunStore):
    """Has read the open questions, and waits before it tells them."""

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self.reading, self.may_tell = asyncio.Event(), asyncio.Event()

    async def open_questions(self, run_id: str) -> Sequence[Question]:
        found = await super().open_questions(run_id)
        self.reading.set()
        await self.may_tell.wait()
        return found


async def test_g5_a_stop_while_the_questions_are_read_shows_none(tmp_path: Path) -> None:
    store = SlowStore(FakeClock(), Settings())
    async with Harness(tmp_path, store=store) as h:
        client = Client(h).begin()
        h.start(CHOICE)
        await store.reading.wait()
        await h.service.interrupt(RUN, by="person")
        store.may_tell.set()
        await settled(h)
        assert client.asked == []
        # The interruption is over for what comes next.
        h.resume(RUN)
        await asking(client)
        await h.service.interrupt(RUN, by="person")


async def test_p7_an_answer_while_the_questions_are_read_shows_none(tmp_path: Path) -> None:
    store = SlowStore(FakeClock(), Settings())
    async with Harness(tmp_path, store=store) as h:
        client = Client(h).begin()
        h.start(TWICE)
        await store.reading.wait()
        (first,) = await InMemoryRunStore.open_questions(store, RUN)
        second = h.service.listeners.expect(RUN, lambda record: record.pending == 1 and record.steps.completed == 1)
        await h.service.answer(first.interaction_id, "x", by="terminal")
        await second
        store.may_tell.set()
        # Asked while the reading was under way, so it is read again.
        assert (await asking(client))["title"] == "Second?"
        await settled(h)
        assert len(client.asked) == 1
        await h.service.interrupt(RUN, by="person")


async def test_p7_asked_and_interrupted_before_the_client_was_ready_it_is_no_news_later(tmp_path: Path) -> None:
    async with Harness(tmp_path) as h:
        client = Client(h)
        h.start(CHOICE)
        await open_one(h)
        await h.service.interrupt(RUN, by="person")
        client.begin()
        h.resume(RUN)
        assert (await asking(client))["redelivery"] is True
        await h.service.interrupt(RUN, by="person")
