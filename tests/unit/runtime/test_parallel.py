"""P3, P4: `parallel`, `pipeline`, and the scopes that let a failure stop the rest."""

from __future__ import annotations

import pytest

from sidestep.model.run import FailureCode
from sidestep.settings import Settings
from tests.unit.runtime.scripted_host import conduct, fail, hosted

THREE = """
from sidestep import command, parallel
async def main():
    return await parallel([command(["x"], id=id) for id in "abc"])
"""


def newest(step_ids: list[str]) -> str:
    return step_ids[-1]


@pytest.mark.parametrize("pick", [None, newest])
def test_p3_results_come_in_input_order_whatever_finished_first(pick):
    assert conduct(THREE, pick=pick).value == ["a", "b", "c"]


def test_p3_a_dict_in_gives_a_dict_out_with_its_keys_in_order():
    trace = conduct(
        """
        from sidestep import command, parallel
        async def main():
            r = await parallel({key: command(["x"], id=key) for key in ("z", "a", "m")})
            return list(r.items())
        """,
        pick=newest,
    )
    assert trace.value == [["z", "z"], ["a", "a"], ["m", "m"]]


def test_p3_nothing_to_do_gives_nothing():
    source = "from sidestep import parallel, pipeline\nasync def main():\n    return [await %s]"
    assert conduct(source % "parallel([])").value == [[]]
    assert conduct(source % "parallel({})").value == [{}]
    assert conduct(source % "pipeline([])").value == [[]]
    assert conduct(source % "pipeline([1, 2])").value == [[1, 2]]


async def test_p3_limit_is_a_sliding_window():
    source = THREE.replace('"abc"])', '"abcdef"], limit=2)')
    async with hosted(source) as host:
        await host.start()
        assert list(host.pending) == ["a", "b"]
        await host.settle("b", 1)
        assert list(host.pending) == ["a", "c"]
        await host.settle("c", 1)
        assert list(host.pending) == ["a", "d"]
        await host.settle("a", 1)
        assert list(host.pending) == ["d", "e"]
        trace = await host.finish(lambda _: 2)
    assert trace.value == [1, 1, 1, 2, 2, 2]


async def test_p3_the_first_failure_launches_nothing_more_and_is_raised_at_once_while_the_rest_is_in_flight():
    source = """
    from sidestep import command, log, parallel
    async def main():
        try:
            await parallel([command(["x"], id=id) for id in "abcdef"], limit=3)
        except RuntimeError as error:
            log(str(error))
        return await command(["y"], id="after")
    """
    async with hosted(source) as host:
        await host.start()
        turn = await host.settle("b", fail("no"))
        assert [(call.name, call.payload) for call in turn.calls[:2]] == [
            ("abort", {"scope": 1}),
            ("log", {"message": 'step in step "b": no', "data": {}}),
        ]
        # The step after it does not wait for a and c, and stands in no scope.
        assert list(host.pending) == ["a", "c", "after"]
        assert host.pending["a"].scopes == (1,)
        assert host.pending["after"].scopes == ()
        # The engine settles what it aborted; nothing comes of it, and d, e, f are never launched.
        assert (await host.settle("a", fail("stopped"))).calls == ()
        assert (await host.settle("c", "finished just before")).calls == ()
        await host.settle("after", 1)
    assert host.trace.value == 1
    assert host.trace.step_ids == ["a", "b", "c", "after"]
    assert len(host.trace.named("abort")) == 1


async def test_p3_a_sibling_that_was_stopped_can_ask_for_nothing_more():
    source = """
    from sidestep import command, parallel
    async def stubborn():
        for n in range(5):
            try:
                await command(["x"], id=f"try:{n}")
            except RuntimeError:
                pass
        return await parallel([command(["x"], id="inner")])
    async def main():
        try:
            await parallel([stubborn(), command(["x"], id="fails")])
        except RuntimeError:
            pass
        return await command(["y"], id="after")
    """
    async with hosted(source) as host:
        await host.start()
        await host.settle("fails", fail())
        turn = await host.settle("try:0", fail("stopped"))
        assert turn.calls == ()
        await host.settle("after", 1)
    assert host.trace.value == 1
    assert host.trace.step_ids == ["try:0", "fails", "after"]


async def test_p3_a_stopped_sibling_that_never_gives_up_does_not_burn_the_turn():
    source = """
    from sidestep import command, parallel
    async def stubborn():
        while True:
            try:
                await command(["x"], id="again")
            except RuntimeError:
                pass
    async def main():
        try:
            await parallel([stubborn(), command(["x"], id="fails")])
        except RuntimeError:
            pass
        return await command(["y"], id="after")
    """
    async with hosted(source) as host:
        await host.start()
        await host.settle("fails", fail())
        assert (await host.settle("again", fail("stopped"))).ended is None
        await host.settle("after", 1)
    assert host.trace.value == 1


def test_p3_on_error_return_never_sinks_the_rest_and_says_what_failed():
    trace = conduct(
        """
        from sidestep import command, parallel
        async def own():
            await command(["x"], id="c")
            raise KeyError("k")
        async def main():
            return await parallel(
                [command(["x"], id="a"), command(["x"], id="b"), own(), command(["x"], id="d")],
                limit=2, on_error="return")
        """,
        lambda call: fail("no") if call.payload["id"] == "a" else call.payload["id"],
    )
    a, b, own, d = trace.value
    assert a == {"error": {"code": "step", "message": "no", "stepId": "a"}}
    assert (b, d) == ("b", "d")
    assert own["error"]["code"] == "script"
    assert own["error"]["stepId"] is None
    assert "k" in own["error"]["message"]
    assert trace.named("abort") == []


async def test_p3_an_inner_failure_that_is_caught_leaves_the_outer_scope_alone():
    source = """
    from sidestep import command, parallel
    async def inner():
        try:
            await parallel([command(["x"], id="i1"), command(["x"], id="i2")])
        except RuntimeError:
            pass
        return await command(["x"], id="i3")
    async def main():
        return await parallel([inner(), command(["x"], id="o")])
    """
    async with hosted(source) as host:
        await host.start()
        scopes = {step_id: call.scopes for step_id, call in host.pending.items()}
        outer = scopes["o"]
        assert len(outer) == 1
        assert scopes["i1"] == scopes["i2"] == (*outer, scopes["i1"][-1])
        turn = await host.settle("i2", fail())
        assert [call.payload for call in turn.calls if call.name == "abort"] == [{"scope": scopes["i1"][-1]}]
        assert host.pending["i3"].scopes == outer
        await host.settle("i1", fail("stopped"))
        await host.settle("o", "o")
        await host.settle("i3", "i3")
    assert host.trace.value == ["i3", "o"]


async def test_p3_an_outer_failure_stops_what_an_inner_parallel_would_launch_next():
    source = """
    from sidestep import command, parallel
    async def inner():
        return await parallel([command(["x"], id=f"i:{n}") for n in range(9)], limit=1)
    async def main():
        try:
            await parallel([inner(), command(["x"], id="o")])
        except RuntimeError:
            return await command(["x"], id="after")
    """
    async with hosted(source) as host:
        await host.start()
        await host.settle("o", fail())
        await host.settle("i:0", "finished just before")
        await host.settle("after", 1)
    assert host.trace.value == 1
    assert host.trace.step_ids == ["o", "i:0", "after"]


async def test_gather_inside_parallel_keeps_the_scope_of_every_task():
    source = """
    import asyncio
    from asyncio import gather as together
    from sidestep import command, parallel
    async def step(id):
        return await command(["x"], id=id)
    async def item(n):
        await asyncio.gather(step(f"{n}:a"), step(f"{n}:b"), command(["x"], id=f"{n}:c"))
        await together(step(f"{n}:d"), step(f"{n}:e"))
        return await step(f"{n}:f")
    async def main():
        await asyncio.gather(step("free"), parallel([item("one"), item("two")]), parallel([item("three")]))
    """
    async with hosted(source) as host:
        await host.start()
        trace = await host.finish(lambda _: 1, pick=newest)
    by_item = {}
    for call in trace.calls:
        by_item.setdefault(call.payload["id"].split(":")[0], set()).add(call.scopes)
    assert by_item == {"free": {()}, "one": {(1,)}, "two": {(1,)}, "three": {(2,)}}


def test_a_gather_the_loader_does_not_see_still_keeps_the_scope_of_steps_made_in_it():
    trace = conduct(
        """
        import asyncio
        from sidestep import command, parallel
        async def item():
            g = asyncio.gather
            await g(command(["x"], id="a"), command(["x"], id="b"))
        async def main():
            await parallel([item()])
        """
    )
    assert [call.scopes for call in trace.calls] == [(1,), (1,)]


def test_a_gather_that_waits_for_no_step_gives_the_scope_back():
    trace = conduct(
        """
        import asyncio
        from sidestep import command, parallel
        async def pure(): pass
        async def item(name, n):
            await asyncio.gather(*[pure() for _ in range(n)])
            await command(["x"], id=name)
        async def main():
            await asyncio.gather(parallel([item("one", 2)]), parallel([item("two", 0)]), item("free", 1))
        """
    )
    assert {call.payload["id"]: call.scopes for call in trace.calls} == {"one": (1,), "two": (2,), "free": ()}


def test_a_coroutine_that_starts_late_inherits_no_scope_by_accident():
    trace = conduct(
        """
        import asyncio
        from sidestep import command, parallel
        hidden = asyncio.gather
        async def late(levels):
            if levels:
                return await hidden(late(levels - 1))
            await command(["x"], id="late")
        async def main():
            await hidden(parallel([command(["x"], id="item")]), late(5))
        """
    )
    assert trace.step_ids == ["item", "late"]
    assert [call.scopes for call in trace.calls] == [(1,), ()]


def test_gather_raises_the_error_with_its_line_and_gives_results_in_order():
    source = """
import asyncio
from sidestep import command, parallel
async def bad():
    await command(["x"], id="b")
    return {}["x"]
async def item():
    return await asyncio.gather(command(["x"], id="a"), %s, command(["x"], id="c"))
async def main():
    return await parallel([item()])
"""
    assert conduct(source % "command(['x'], id='b')", pick=newest).value == [["a", "b", "c"]]
    assert conduct(source % "bad()").failure.line == 6


def test_p4_an_item_goes_on_without_waiting_for_the_others():
    async def scenario() -> None:
        source = """
        from sidestep import command, pipeline
        async def build(name):
            await command(["x"], id=f"configure:{name}")
            return await command(["x"], id=f"build:{name}")
        async def main():
            ship = lambda it: command(["x"], id=f"ship:{it}")
            return await pipeline(["a", "b"], build, lambda built: built + "!", ship)
        """
        async with hosted(source) as host:
            await host.start()
            for step in ("configure:a", "build:a", "ship:built a!"):
                await host.settle(step, "built a")
            assert list(host.pending) == ["configure:b"]
            for step in ("configure:b", "build:b", "ship:built b!"):
                await host.settle(step, "built b")
        assert host.trace.value == ["built a", "built b"]

    import asyncio

    asyncio.run(scenario())


def test_p4_limit_and_on_error_are_those_of_parallel():
    source = """
    from sidestep import command, pipeline
    async def one(n):
        return await command(["x"], id=str(n))
    async def main():
        return await pipeline(range(4), one, limit=1, on_error="return")
    """
    trace = conduct(source, lambda call: fail() if call.payload["id"] == "1" else call.payload["id"])
    assert [isinstance(item, dict) for item in trace.value] == [False, True, False, False]
    trace = conduct(source.replace(', on_error="return"', ""), lambda _: fail())
    assert trace.step_ids == ["0"]
    assert (trace.failure.code, trace.failure.step_id, trace.failure.line) == (FailureCode.STEP, "0", 4)


@pytest.mark.parametrize(
    ("call", "told"),
    [
        ("parallel([1])", "parallel(): item 0 is an int, not a coroutine"),
        ("parallel({'a': f})", "parallel(): item 'a' is a function, not a coroutine"),
        ("parallel([await f()])", "give it the call itself, without await"),
        ("parallel(f())", "takes a list or a dict of coroutines, not a coroutine"),
        ("parallel(3)", "'int' object is not iterable"),
        ("parallel('ab')", "takes a list or a dict of coroutines, not a str"),
        ("parallel([f()], limit=0)", "limit is 0, not a whole number above 0"),
        ("parallel([f()], limit=True)", "limit is True"),
        ("parallel([f()], on_error='x')", "on_error is 'x'"),
        ("parallel([f()], limits=2)", "parallel() has no option limits; did you mean limit?"),
        ("parallel([f() for _ in range(21)])", "parallel() was given 21 items, the limit is 20"),
        ("pipeline(range(21), f)", "pipeline() was given 21 items, the limit is 20"),
        ("pipeline([1], 'f')", "stage 1 is a str, not a function of one value"),
        ("pipeline([1], f, f())", "stage 2 is a coroutine, not a function of one value"),
        ("pipeline(f())", "takes a list of items first"),
    ],
)
def test_p1_a_wrong_parallel_raises_at_the_authors_line(call: str, told: str):
    source = f"from sidestep import parallel, pipeline\nasync def f(): pass\nasync def main():\n    await {call}"
    failure = conduct(source, settings=Settings(parallel_width_max=20)).failure
    assert told in failure.message
    assert failure.line == 4


@pytest.mark.slow
def test_p3_ten_thousand_items_are_one_turn():
    async def scenario() -> None:
        source = THREE.replace('"abc"', "[str(n) for n in range(10000)]")
        async with hosted(source) as host:
            await host.start()
            assert len(host.pending) == 10_000
            await host.settle("9999", 1)
            await host.settle("0", fail())
        assert host.trace.failure.step_id == "0"

    import asyncio

    asyncio.run(scenario())
