"""P3: what `parallel` is given as bare steps is asked for in one crossing and answered in one."""

from __future__ import annotations

import asyncio

import pytest

from sidestep.model.execution import Turn
from sidestep.model.run import FailureCode
from sidestep.settings import Settings
from tests.unit.runtime.scripted_host import conduct, fail, hosted

BARE = """
from sidestep import command, failure, log, parallel
async def main():
    try:
        return await parallel([command(["x"], id=id) for id in "abcd"])
    except RuntimeError as error:
        log("failed", **failure(error))
    return await command(["y"], id="after")
"""


async def test_p3_the_worker_hears_of_the_answers_when_the_last_is_there(turns: list[None]):
    async with hosted(BARE) as host:
        turn = await host.start()
        assert [call.payload["id"] for call in turn.calls] == ["a", "b", "c", "d"]
        assert [call.scopes for call in turn.calls] == [(1,)] * 4
        for step_id in "dba":
            assert await host.settle(step_id, step_id) == Turn()
        assert len(turns) == 1
        await host.settle("c", "c")
        assert len(turns) == 2
    assert host.trace.value == ["a", "b", "c", "d"]


async def test_p3_the_first_failure_ends_the_wait_at_once_and_the_others_answers_go_nowhere(turns: list[None]):
    async with hosted(BARE) as host:
        await host.start()
        assert await host.settle("d", 1) == Turn()
        turn = await host.settle("b", fail("no"))
        assert [(call.name, call.payload) for call in turn.calls[:2]] == [
            ("abort", {"scope": 1}),
            ("log", {"message": "failed", "data": {"step": "b", "code": "step", "message": "no"}}),
        ]
        assert list(host.pending) == ["a", "c", "after"]
        assert host.pending["after"].scopes == ()
        assert await host.settle("a", fail("stopped")) == Turn()
        assert await host.settle("c", "finished just before") == Turn()
        assert len(turns) == 2
        await host.settle("after", 1)
    assert host.trace.value == 1


def test_p3_a_failure_that_nobody_catches_has_the_line_of_its_step():
    source = """
    from sidestep import command, parallel
    async def main():
        await parallel([
            command(["x"], id="fine"),
            command(["x"], id="late", timeout_s=1),
        ])
    """
    failure = conduct(source, lambda call: fail("too late", FailureCode.TIMEOUT) if call.line == 6 else 1).failure
    assert (failure.code, failure.step_id, failure.line) == (FailureCode.TIMEOUT, "late", 6)


def test_p3_a_timeout_is_raised_as_one():
    source = """
    from sidestep import command, parallel
    async def main():
        try:
            await parallel([command(["x"], id="a"), command(["x"], id="b")])
        except TimeoutError as error:
            return str(error)
    """
    assert conduct(source, lambda _: fail("late", FailureCode.TIMEOUT)).value == 'timeout in step "a": late'


def test_p3_failures_are_returned_where_parallel_or_the_step_says_so():
    source = """
    from sidestep import command, parallel
    async def main():
        some = await parallel([command(["x"], id="a", on_error="return"), command(["x"], id="b")])
        all = await parallel({"c": command(["x"], id="c"), "d": command(["x"], id="d")}, on_error="return")
        return [some, all]
    """
    trace = conduct(source, lambda call: fail("no") if call.payload["id"] in "ac" else call.payload["id"])

    def failed(step_id: str) -> dict[str, object]:
        return {"error": {"code": "step", "message": "no", "stepId": step_id}}

    assert trace.value == [[failed("a"), "b"], {"c": failed("c"), "d": "d"}]
    assert trace.named("abort") == []


@pytest.mark.parametrize(
    "tasks",
    [
        'parallel([parallel([command(["x"], id="a"), command(["x"], id="b")]), command(["x"], id="c")])',
        'asyncio.gather(parallel([command(["x"], id="a"), command(["x"], id="b")]), command(["x"], id="c"))',
        'parallel([parallel([command(["x"], id="a"), command(["x"], id="b")]), later()])',
    ],
)
def test_p3_steps_of_an_inner_parallel_come_together_while_others_run(tasks: str):
    source = f"""
    import asyncio
    from sidestep import command, parallel
    async def later():
        return await command(["x"], id="c")
    async def main():
        return await {tasks}
    """
    trace = conduct(source)
    assert trace.value == [["a", "b"], "c"]
    assert trace.step("a").scopes == trace.step("b").scopes != ()


def test_p3_a_step_after_an_inner_parallel_stands_in_the_outer_one_only():
    source = """
    from sidestep import command, parallel
    async def both():
        await parallel([command(["x"], id="a"), command(["x"], id="b")])
        await command(["x"], id="after")
    async def other():
        await command(["x"], id="c")
    async def main():
        await parallel([both(), other()])
    """
    trace = conduct(source)
    assert trace.step("after").scopes == trace.step("c").scopes == (1,)


async def test_p3_an_outer_failure_answers_every_step_of_an_inner_parallel():
    source = """
    from sidestep import command, parallel
    async def main():
        try:
            await parallel([parallel([command(["x"], id="a"), command(["x"], id="b")]), command(["x"], id="c")])
        except RuntimeError as error:
            return str(error)
    """
    async with hosted(source) as host:
        await host.start()
        assert host.pending["a"].scopes == (1, 2)
        turn = await host.settle("c", fail("outer"))
        assert turn.ended is not None
    assert host.trace.value == 'step in step "c": outer'


def test_p3_nothing_changes_where_steps_do_not_all_stand_alone():
    """A limit, an async function among them, a step twice: each is asked for by itself, as ever."""
    source = """
    from sidestep import command, parallel
    async def two(name):
        return [await command(["x"], id=f"{name}:1"), await command(["x"], id=f"{name}:2")]
    async def main():
        limited = await parallel([command(["x"], id=id) for id in "abc"], limit=2)
        mixed = await parallel([command(["x"], id="d"), two("e")])
        return [limited, mixed]
    """
    assert conduct(source).value == [["a", "b", "c"], ["d", ["e:1", "e:2"]]]


@pytest.mark.parametrize(
    "script",
    [
        's = command(["x"], id="a")\n    await parallel([s, s])',
        's = command(["x"], id="a")\n    await parallel([s])\n    await s',
        's = command(["x"], id="a")\n    await parallel([s])\n    await parallel([s])',
        's = command(["x"], id="a")\n    await s\n    await parallel([s])',
    ],
)
def test_a_step_that_is_awaited_twice_is_an_error_as_for_any_coroutine(script: str):
    failure = conduct(f"from sidestep import command, parallel\nasync def main():\n    {script}\n").failure
    assert failure.code is FailureCode.SCRIPT
    assert "cannot reuse already awaited coroutine" in failure.message
    assert failure.line is not None


def test_answers_that_are_more_than_the_sandbox_can_hold_end_the_run_before_the_server_holds_them():
    source = """
    from sidestep import command, parallel
    async def main():
        return len(await parallel([command(["x"], id=f"s:{n}") for n in range(40)]))
    """
    settings = Settings(sandbox_memory_bytes_max=8 * 1024**2)
    failure = conduct(source, lambda _: "x" * 1024**2, settings=settings).failure
    assert (failure.code, failure.message) == (
        FailureCode.LIMIT,
        "the script needs more than the 8 MiB of memory it has",
    )


@pytest.mark.parametrize("answers", [["x" * 100] * 40, [fail("x" * 100)] * 40, ["x" * 3000, "x" * 5000]])
def test_whatever_answers_are_made_of_too_many_are_a_limit_of_the_script(answers: list[object]):
    source = """
    from sidestep import command, parallel
    async def main(count: int):
        steps = [command(["x"], id=str(n), on_error="return") for n in range(count)]
        return len(await parallel(steps))
    """
    group_limit = Settings(sandbox_memory_bytes_max=1024**2)
    trace = conduct(source, lambda call: answers[int(call.payload["id"])], args={"count": len(answers)})
    assert trace.value == len(answers)
    many = [each for each in answers for _ in range(400)]
    failure = conduct(
        source, lambda call: many[int(call.payload["id"])], args={"count": len(many)}, settings=group_limit
    ).failure
    assert failure.code is FailureCode.LIMIT


async def test_x2_answers_that_take_no_turn_let_the_event_loop_go_on():
    source = """
    from sidestep import command, parallel
    async def main():
        return len(await parallel([command(["x"], id=f"s:{n}") for n in range(1000)]))
    """
    turns_of_the_loop = 0

    async def tick() -> None:
        nonlocal turns_of_the_loop
        while True:
            turns_of_the_loop += 1
            await asyncio.sleep(0)

    async with hosted(source) as host:
        await host.start()
        ticking = asyncio.create_task(tick())
        for number in range(999):
            assert await host.settle(f"s:{number}", 1) == Turn()
        ticking.cancel()
    assert turns_of_the_loop >= 9


def test_an_answer_that_cannot_be_read_back_fails_its_own_step_only():
    source = """
    from sidestep import command, parallel
    async def main():
        return await parallel([command(["x"], id="deep"), command(["x"], id="flat")], on_error="return")
    """
    deep: object = "x"
    for _ in range(300):
        deep = [deep]
    value = conduct(source, lambda call: deep if call.payload["id"] == "deep" else 1).value
    assert value[0]["error"]["code"] == "validation"
    assert value[1] == 1


@pytest.mark.parametrize(
    ("called", "told"),
    [
        ('"raise", "nonsense"', "that is no call"),
        ('"never", "{}"', "raise or return"),
        ('"raise", 5', "the host takes one text"),
        ("5, 5", "raise or return"),
        (
            '"raise", \'{"call":"log","payload":{"message":"m","data":{}},"line":null,"scopes":[]}\'',
            "log is no step, and only steps come together",
        ),
    ],
)
def test_x2_a_script_that_calls_the_host_with_several_texts_is_told_what_is_wrong(called: str, told: str):
    source = f"""
    async def main():
        try:
            __sidestep_host__({called})
        except ValueError as error:
            return str(error)
    """
    assert told in conduct(source).value


@pytest.mark.slow
def test_p3_ten_thousand_steps_are_one_turn_and_one_answer(turns: list[None]):
    source = """
    from sidestep import command, parallel
    async def main():
        return len(await parallel([command(["x"], id=f"s:{n}") for n in range(10000)]))
    """
    assert conduct(source).value == 10_000
    assert len(turns) == 2
