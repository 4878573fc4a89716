"""The report and the chart: what they make of samples, and that the files are what the raw results give."""

from __future__ import annotations

import itertools
import xml.etree.ElementTree as ElementTree
from typing import Any

import pytest

from tests.bench.results import RESULTS, Results, read_results, write_results
from tests.bench.row import row
from tests.bench.targets import targets
from tests.bench.views import views
from tests.bench.workload import Workload

MACHINE = {"cores": 2, "memoryGiB": 4, "system": "Linux 6.1", "python": "3.11.7", "sqlite": "3.40.1"}


def results(*workloads: Workload, rows: list[dict[str, Any]] | None = None) -> Results:
    return Results(MACHINE, {"sidestep": "0.1.0"}, list(workloads), rows or [])


def sequential(size: int, *, ours: float, peer: float) -> Workload:
    """Times of a step in floors of 2 s and 4 s."""
    samples = {"floor": [2.0, 4.0], "sidestep": [2.0 * ours, 4.0 * ours], "langgraph": [2.0 * peer, 4.0 * peer]}
    return Workload("sequential", size, "s", samples)


def met(made: Results) -> dict[str, bool | None]:
    return {each.what: each.is_met for each in targets(made)}


def test_the_committed_report_and_chart_are_what_the_raw_results_give() -> None:
    """They are written by the command alone: `python -m tests.bench --render` writes them again."""
    for name, text in views(read_results()).items():
        assert RESULTS.with_name(name).read_text(encoding="utf-8") == text, name


def test_the_raw_results_name_no_machine_and_no_place() -> None:
    text = RESULTS.read_text(encoding="utf-8")
    assert [word for word in ("/home", "/root", "/tmp", "/work", "://") if word in text] == []
    assert read_results().machine.keys() == MACHINE.keys()


def test_raw_results_are_the_same_after_writing_and_reading(tmp_path: Any) -> None:
    made = results(sequential(10, ours=2.5, peer=5.0), rows=[row("x", [1.0, 2.0], floor="y", aim=3.0)])
    write_results(made, tmp_path / "results.json")
    assert read_results(tmp_path / "results.json") == made


def test_a_table_has_ratios_to_the_floor_of_the_same_round_and_says_who_is_best() -> None:
    text = views(results(sequential(10, ours=2.5, peer=5.0)))["RESULTS.md"]
    assert "| Sidestep | 2.50 (2.50-2.50; 2) |" in text
    assert "| LangGraph | 5.00 (5.00-5.00; 2) |" in text
    assert "| **best** | Sidestep |" in text
    assert "| LangGraph / Sidestep | 2.00 x |" in text


def test_an_engine_that_was_stopped_is_told_and_is_not_best() -> None:
    workload = sequential(10_000, ours=2.5, peer=0.5)
    workload.stopped["langgraph"] = "was stopped after 60 s"
    text = views(results(workload))["RESULTS.md"]
    assert "- LangGraph, N = 10,000: was stopped after 60 s." in text
    assert "| **best** | - |" in text


def test_without_a_floor_the_service_is_one() -> None:
    workload = Workload("kill", 300, "s", {"sidestep": [2.0], "dbos": [6.0], "restate": [1.0]})
    text = views(results(workload))["RESULTS.md"]
    assert "| DBOS Transact | 3.00 |" in text
    assert "| **best** | Restate |" in text


@pytest.mark.parametrize(("ours", "expected"), [(2.4, True), (2.6, False)])
def test_the_aim_of_a_step_is_two_and_a_half_commits(ours: float, expected: bool) -> None:
    made = results(sequential(10, ours=9.0, peer=20.0), sequential(100, ours=ours, peer=20.0))
    assert met(made)["sequential step, N >= 100"] is expected


def test_an_aim_without_samples_is_not_measured() -> None:
    assert set(met(results()).values()) == {None}
    text = views(results(sequential(1, ours=9.0, peer=30.0)))["RESULTS.md"]
    assert "| step of a fan-out of 500, best peer to ours | >= 2 times | not measured |  |" in text


def test_one_size_at_which_a_peer_is_ahead_misses_the_aim() -> None:
    what = "sequential step at every N, best peer to ours"
    assert met(results(sequential(1, ours=2.0, peer=3.0), sequential(10, ours=2.0, peer=3.0)))[what] is True
    assert met(results(sequential(1, ours=2.0, peer=1.9), sequential(10, ours=2.0, peer=3.0)))[what] is False


def test_the_kill_is_judged_by_the_slower_of_our_two() -> None:
    samples = {"sidestep": [1.0], "sidestep-stdio": [2.5], "dbos": [2.0]}
    assert (
        met(results(Workload("kill", 300, "s", samples)))["kill -9 to the first new step, best peer to ours"] is False
    )


def test_listing_is_many_to_few() -> None:
    few, many = (
        Workload("listing", 100, "s", {"sidestep": [1.0]}),
        Workload("listing", 100_000, "s", {"sidestep": [3.0]}),
    )
    assert met(results(few, many))["listing of 100,000 stored runs, to one of 100"] is False


def test_the_chart_is_one_picture_with_a_named_line_for_each_engine() -> None:
    made = results(sequential(1, ours=9.0, peer=30.0), sequential(10_000, ours=2.5, peer=5.0))
    chart = views(made)["cost.svg"]
    root = ElementTree.fromstring(chart)
    space = {"svg": "http://www.w3.org/2000/svg"}
    names = [text.text for text in root.findall("svg:text", space) if "name" in text.get("class", "")]
    assert sorted(filter(None, names)) == ["LangGraph 5.0", "Sidestep 2.5"]
    assert len(root.findall("svg:polyline", space)) == 2
    assert "prefers-color-scheme:dark" in chart
    width, height = (float(word) for word in root.get("viewBox", "").split()[2:])
    for text in root.findall("svg:text", space):
        assert 0 <= float(text.get("x", "-1")) <= width
        assert 0 <= float(text.get("y", "-1")) <= height


def test_names_of_lines_that_end_together_do_not_overlap() -> None:
    samples = {
        "floor": [1.0],
        **{name: [5.0] for name in ("sidestep", "sidestep-stdio", "dbos", "langgraph", "restate")},
    }
    root = ElementTree.fromstring(views(results(Workload("sequential", 10, "s", samples)))["cost.svg"])
    places = sorted(float(each.get("y", "0")) for each in root if "name" in each.get("class", ""))
    assert len(places) == 5
    assert all(after - before >= 15 for before, after in itertools.pairwise(places))
