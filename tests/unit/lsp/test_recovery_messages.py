"""C2: what people are told of recovered runs is said once each, and never floods."""

from __future__ import annotations

from sidestep.lsp.recovery_messages import recovery_messages
from sidestep.service.automatic_resume import Recovered
from tests.contract.stores import new_run


def recovered(number: int, *, resumed: bool = True, is_news: bool = True) -> Recovered:
    return Recovered(new_run(number), resumed, f"run {number}", is_news)


def test_c2_up_to_three_runs_have_a_message_each() -> None:
    assert recovery_messages([recovered(1), recovered(2, resumed=False), recovered(3)]) == [
        {"type": 3, "message": "run 1"},
        {"type": 2, "message": "run 2"},
        {"type": 3, "message": "run 3"},
    ]


def test_c2_the_rest_is_counted() -> None:
    many = [recovered(number, resumed=number % 10 != 0) for number in range(1, 51)]
    messages = recovery_messages(many)
    assert [message["message"] for message in messages[:3]] == ["run 1", "run 2", "run 3"]
    text = "More interrupted workflows: 42 resumed and 5 not resumed; the log and the list of runs tell which"
    assert messages[3:] == [{"type": 2, "message": text}]
    assert recovery_messages(many[:5])[3]["message"].startswith("More interrupted workflows: 2 resumed; ")


def test_c2_what_is_no_news_has_no_message() -> None:
    assert recovery_messages([recovered(1, resumed=False, is_news=False), recovered(2)]) == [
        {"type": 3, "message": "run 2"}
    ]
    assert recovery_messages([]) == []
