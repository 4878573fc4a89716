"""P1, P5, P6 and the other primitives as a script meets them; the host here answers by script."""

from __future__ import annotations

import pytest

from sidestep.model.execution import ScriptRaised
from sidestep.model.run import FailureCode
from sidestep.settings import Settings
from tests.unit.runtime.scripted_host import FILE, conduct, fail


def test_a_command_arrives_with_its_input_options_and_line():
    trace = conduct(
        """
        from sidestep import command

        async def main():
            await command(
                ["pytest", "-q"], id="tests", cwd="sub", env={"A": "b"}, stdin="x", check=False,
                allow_truncated=True, title="Tests", phase="verify", timeout_s=3, on_error="return")
            await command(("ls",), id="plain")
        """
    )
    full, plain = trace.calls
    assert (full.name, full.line, full.scopes) == ("command", 5, ())
    assert full.payload == {
        "id": "tests",
        "input": {
            "argv": ["pytest", "-q"],
            "cwd": "sub",
            "env": {"A": "b"},
            "stdin": "x",
            "check": False,
            "allow_truncated": True,
        },
        "title": "Tests",
        "phase": "verify",
        "timeout_s": 3,
        "on_error": "return",
    }
    # Defaults are left out of the input, so that a new option changes no key (J2).
    assert plain.payload == {"id": "plain", "input": {"argv": ["ls"]}}
    assert plain.line == 8


def test_a_step_gives_its_output_to_the_script():
    trace = conduct(
        """
        from sidestep import command, sleep
        async def main(n: int):
            assert await sleep(n + 0.5, id="nap") is None
            r = await command(["x"], id="x")
            return [r["exit_code"], r["stdout"]]
        """,
        lambda call: None if call.name == "sleep" else {"exit_code": 3, "stdout": "é\U0001f600"},
        args={"n": 2},
    )
    assert trace.value == [3, "é\U0001f600"]
    assert trace.step("nap").payload["input"] == {"seconds": 2.5}


@pytest.mark.parametrize(
    ("call", "told"),
    [
        ('command(["x"])', 'command() needs an id, e.g. id="command:1"'),
        ('command(["x"], id=None)', "needs an id"),
        ('command(["x"], id="")', "id is '', not a non-empty string"),
        ('command(["x"], id="  ")', "not a non-empty string"),
        ('command(["x"], id=3)', "id is an int, not a non-empty string"),
        ('command(["x"], id=("a", "b"))', "id is a tuple, not"),
        ('command(["x"], id=["a"])', "id is a list, not"),
        ('command(["x"], id="a" * 501)', "id has 501 characters, the limit is 500"),
        ('command(["x"], **{"id": (1, "a")})', "id is a tuple, not"),
        ('command(["x"], id="a", timeout=3)', "command() has no option timeout; did you mean timeout_s?"),
        ('command(["x"], id="a", chek=True)', "did you mean check?"),
        ('command(["x"], id="a", frobnicate=3)', "command() has no option frobnicate"),
        ('command("ls -l", id="a")', "takes a list of strings, not one string"),
        ("command([], id='a')", "non-empty list of strings"),
        ("command({'a': 1}, id='a')", "non-empty list of strings, not a dict"),
        ("command(['a', 3], id='a')", "argv[1] is an int, not a string"),
        ("command(['a'], id='a', cwd=3)", "cwd is an int, not a string"),
        ("command(['a'], id='a', stdin=b'x')", "stdin is a bytes, not a string"),
        ("command(['a'], id='a', env={'A': 1})", "env maps names to strings, and holds an int"),
        ("command(['a'], id='a', env=['A'])", "env is a list, not a dict"),
        ("command(['a'], id='a', check='no')", "check is a str, not True or False"),
        ("command(['a'], id='a', timeout_s=0)", "timeout_s is 0, not a number of seconds above 0"),
        ("command(['a'], id='a', timeout_s=True)", "timeout_s is True"),
        ("command(['a'], id='a', timeout_s=float('inf'))", "timeout_s is inf"),
        ("command(['a'], id='a', on_error='ignore')", 'on_error is \'ignore\', not "raise" or "return"'),
        ("command(['a'], id='a', title=3)", "title is an int, not a string"),
        ("command(['a' * 5_000_000], id='a')", "the limit is 4194304"),
        ("command()", "missing 1 required positional argument: 'argv'"),
        ("command(['a'], 'a')", "takes 1 positional argument but 2 were given"),
        ("sleep(-1, id='a')", "a number of seconds, 0 or more, not -1"),
        ("sleep('1', id='a')", "not '1'"),
        ("sleep(float('nan'), id='a')", "not nan"),
        ("sleep(1)", "sleep() needs an id"),
        ("phase('')", "name is '', not a non-empty string"),
        ("phase(3)", "name is an int"),
        ("phase('x', a={1})", "details.a is a set, which is not JSON"),
        ("log(3)", "log() takes a text and named values"),
        ("log('a', 'b')", "log() takes one message and named values, not 2 values without a name"),
        ("phase()", "phase() takes one name and named values, not 0 values without a name"),
        ("log('x', a=[1, {'b': float('nan')}])", "data.a[1].b is nan, which is not JSON"),
        ("log('x', a={1: 2})", "data.a has the key 1, an int; keys in JSON are strings"),
        ("log('x', a='y' * 100000)", "log() was given 1000"),
    ],
)
def test_p1_a_wrong_call_raises_at_the_authors_line_before_any_work(call: str, told: str):
    trace = conduct(
        f"from sidestep import command, log, phase, sleep\nasync def main():\n    x = 1\n    {call}\n    return 1"
    )
    assert trace.calls == []
    assert told in trace.failure.message
    assert (trace.failure.code, trace.failure.file, trace.failure.line) == (FailureCode.SCRIPT, FILE, 4)


AGENT = [
    ("agent()", "missing 1 required positional argument: 'prompt'"),
    ("agent('x')", 'agent() needs an id, e.g. id="agent:1"'),
    ("agent('x', 'a')", "takes 1 positional argument but 2 were given"),
    ("agent(3, id='a')", "prompt is an int, not a non-empty string"),
    ("agent(None, id='a')", "prompt is None, not a non-empty string"),
    ("agent(' ', id='a')", "prompt is ' ', not a non-empty string"),
    ("agent(['x'], id='a')", "prompt is a list, not a non-empty string"),
    ("agent('x' * 5_000_000, id='a')", "the limit is 4194304"),
    ("agent('x', id='a', schema='object')", "schema is a str, not a dict"),
    ("agent('x', id='a', schema=['object'])", "schema is a list, not a dict"),
    ("agent('x', id='a', schema={'enum': {1}})", "schema.enum is a set, which is not JSON"),
    ("agent('x', id='a', schema={'maximum': float('inf')})", "schema.maximum is inf, which is not JSON"),
    ("agent('x', id='a', schema={1: 2})", "schema has the key 1, an int; keys in JSON are strings"),
    ("agent('x', id='a', agent=3)", "agent is an int, not a string"),
    ("agent('x', id='a', isolation=True)", 'isolation is True, not "none" or "worktree"'),
    ("agent('x', id='a', isolation='worktre')", 'isolation is \'worktre\', not "none" or "worktree"'),
    ("agent('x', id='a', timeout_s='60')", "timeout_s is '60', not a number of seconds above 0"),
    ("agent('x', id='a', timeout_s=9, grace_s='1')", "grace_s is '1', not a number of seconds, 0 or more"),
    ("agent('x', id='a', timeout_s=9, grace_s=-1)", "grace_s is -1, not a number of seconds, 0 or more"),
    ("agent('x', id='a', timeout_s=9, grace_s=True)", "grace_s is True, not a number of seconds"),
    ("agent('x', id='a', grace_s=5)", "say what happens at timeout_s; give that, too"),
    ("agent('x', id='a', final_instructions='Stop.')", "say what happens at timeout_s; give that, too"),
    ("agent('x', id='a', timeout_s=9, final_instructions=['Stop.'])", "final_instructions is a list, not a string"),
    ("agent('x', id='a', title=['x'])", "title is a list, not a string"),
    ("agent('x', id='a', phase=3)", "phase is an int, not a string"),
    ("agent('x', id='a', on_error=None)", 'on_error is None, not "raise" or "return"'),
    ("agent('x', id='a', model='large')", "agent() has no option model"),
    ("agent('x', id='a', schem={})", "agent() has no option schem; did you mean schema?"),
    ("agent('x', id='a', timeout=9)", "agent() has no option timeout; did you mean timeout_s?"),
]
ASK = [
    ("ask()", "missing 1 required positional argument: 'question'"),
    ("ask('x')", "ask() needs an id"),
    ("ask('', id='a')", "question is '', not a non-empty string"),
    ("ask({'text': 'x'}, id='a')", "question is a dict, not a non-empty string"),
    ("ask('x', id='a', choices='yes')", "choices is a str, not a list of strings"),
    ("ask('x', id='a', choices={'yes': 1})", "choices is a dict, not a list of strings"),
    ("ask('x', id='a', choices=[])", "choices are one or more different strings"),
    ("ask('x', id='a', choices=['y', 'n', 'y'])", "choices are one or more different strings"),
    ("ask('x', id='a', choices=['y', 3])", "choices[1] is 3, not a non-empty string"),
    ("ask('x', id='a', choices=[''])", "choices[0] is '', not a non-empty string"),
    ("ask('x', id='a', choices=['y'], schema={'type': 'string'})", "give choices or a schema, not both"),
    ("ask('x', id='a', schema='string')", "schema is a str, not a dict"),
    ("ask('x', id='a', schema={'enum': ('a', b'b')})", "schema.enum[1] is a bytes, which is not JSON"),
    ("ask('x', id='a', timeout_s=0)", "timeout_s is 0, not a number of seconds above 0"),
    ("ask('x', id='a', choice=['y'])", "ask() has no option choice; did you mean choices?"),
]
PATCH = [
    ("apply_patch()", "missing 1 required positional argument: 'patch'"),
    ("apply_patch({'id': 'p'})", "apply_patch() needs an id"),
    ("apply_patch('p', id='a')", "takes the patch of an agent that worked in a worktree, not a str"),
    ("apply_patch(None, id='a')", "takes the patch of an agent that worked in a worktree, not None"),
    ("apply_patch({}, id='a')", "takes the patch of an agent that worked in a worktree, not a dict"),
    ("apply_patch({'result': 'x', 'patch': {'id': 'p'}}, id='a')", """takes the patch alone"""),
    ("apply_patch({'result': 'x', 'patch': {'id': 'p'}}, id='a')", """give its ["patch"]"""),
    ("apply_patch({'id': 3}, id='a')", "takes the patch of an agent that worked in a worktree, not a dict"),
    ("apply_patch({'id': 'p'}, id='a', three_way='yes')", "three_way is a str, not True or False"),
    ("apply_patch({'id': 'p'}, id='a', paths='a.py')", "paths is a str, not a list of strings"),
    ("apply_patch({'id': 'p'}, id='a', paths=[3])", "paths[0] is 3, not a non-empty string"),
    ("apply_patch({'id': 'p'}, id='a', path=['a.py'])", "apply_patch() has no option path; did you mean paths?"),
]
WORKFLOW = [
    ("workflow()", "missing 1 required positional argument: 'name_or_path'"),
    ("workflow('x')", "workflow() needs an id"),
    ("workflow(3, id='a')", "name_or_path is an int, not a non-empty string"),
    ("workflow('x', id='a', args=['y'])", "args is a list, not a dict"),
    ("workflow('x', id='a', args={'y': {1}})", "args.y is a set, which is not JSON"),
    ("workflow('x', id='a', arg={})", "workflow() has no option arg; did you mean args?"),
]


@pytest.mark.parametrize(("call", "told"), AGENT + ASK + PATCH + WORKFLOW)
def test_p1_a_wrong_call_of_an_agent_a_person_a_patch_or_a_workflow_raises_before_any_work(call: str, told: str):
    """P1: at the author's line, with what to write instead; also for a call that is never awaited."""
    imports = "from sidestep import agent, apply_patch, ask, workflow"
    trace = conduct(f"{imports}\nasync def main():\n    x = 1\n    {call}\n    return 1")
    assert trace.calls == []
    assert told in trace.failure.message
    assert (trace.failure.code, trace.failure.file, trace.failure.line) == (FailureCode.SCRIPT, FILE, 4)


def test_an_agent_step_arrives_with_its_input_and_what_is_no_part_of_it_beside():
    """J2: how its time ends, and what people read, are not what the work is."""
    trace = conduct(
        """
        from sidestep import agent

        async def main():
            await agent(
                "Do it.", id="full", schema={"type": "object"}, agent="b", isolation="worktree", timeout_s=60,
                grace_s=5, final_instructions="Stop.", title="Doing", phase="work", on_error="return")
            await agent("Do it.", id="plain", schema=None, agent=None, isolation="none", grace_s=None)
        """
    )
    full, plain = trace.calls
    assert full.payload == {
        "id": "full",
        "input": {"prompt": "Do it.", "schema": {"type": "object"}, "agent": "b", "isolation": "worktree"},
        "title": "Doing",
        "phase": "work",
        "timeout_s": 60,
        "grace_s": 5,
        "final_instructions": "Stop.",
        "on_error": "return",
    }
    # Defaults are left out of the input, so that a new option changes no key (J2).
    assert plain.payload == {"id": "plain", "input": {"prompt": "Do it."}}
    assert (full.name, full.line, plain.line) == ("agent", 5, 8)


def test_a_question_and_a_patch_arrive_with_their_input():
    trace = conduct(
        """
        from sidestep import apply_patch, ask

        async def main():
            await ask("Ship?", id="ship", choices=("yes", "no"), timeout_s=60)
            await ask("Port?", id="port", schema={"type": "integer"})
            await ask("Why?", id="why")
            patch = {"id": "patch_1", "files": ["a"], "additions": 1, "deletions": 0}
            await apply_patch(patch, id="some", three_way=False, paths=("a",))
            await apply_patch(patch, id="all")
        """
    )
    assert [(call.name, call.payload["input"]) for call in trace.calls] == [
        ("ask", {"question": "Ship?", "choices": ["yes", "no"]}),
        ("ask", {"question": "Port?", "schema": {"type": "integer"}}),
        ("ask", {"question": "Why?"}),
        # What the patch holds is stored; its id alone names it.
        ("apply_patch", {"patch": {"id": "patch_1"}, "three_way": False, "paths": ["a"]}),
        ("apply_patch", {"patch": {"id": "patch_1"}}),
    ]


def test_a_step_that_is_never_awaited_starts_nothing():
    trace = conduct(
        """
        from sidestep import command
        async def main():
            never = command(["x"], id="never")
            return 1
        """
    )
    assert (trace.calls, trace.value) == ([], 1)


def test_phases_logs_and_prints_arrive_in_call_order_with_their_lines():
    trace = conduct(
        """
        import sys
        from sidestep import command, log as say, phase
        say("at the top")
        async def main():
            phase("one", round=1, nested={"a": [None, True, 1.5, "x"]})
            print("a", end="")
            print("b")
            say("message", n=1); print("err", file=sys.stderr)
            await command(["x"], id="x")
            phase("two")
            print("no end", end="")
        """
    )
    assert [(call.name, call.line) for call in trace.calls] == [
        ("log", 4),
        ("phase", 6),
        ("print", None),
        ("log", 9),
        ("print", None),
        ("command", 10),
        ("phase", 11),
        ("print", None),
    ]
    assert trace.calls[1].payload == {"name": "one", "details": {"round": 1, "nested": {"a": [None, True, 1.5, "x"]}}}
    assert trace.calls[3].payload == {"message": "message", "data": {"n": 1}}
    assert [call.payload for call in trace.named("print")] == [
        {"text": "ab", "stream": "stdout"},
        {"text": "err", "stream": "stderr"},
        {"text": "no end", "stream": "stdout"},
    ]


def test_a_long_message_is_cut():
    trace = conduct("from sidestep import log\nasync def main():\n    log('é' * 20000)")
    message = trace.calls[0].payload["message"]
    assert message == "é" * 8192 + "... (11808 characters more)"


def test_a_failed_step_raises_a_runtime_error_and_a_timeout_a_timeout_error():
    """P9: a script can catch a step's failure, and `failure` takes it apart."""
    odd = 'a: "b" in step \\ \n é: '
    trace = conduct(
        """
        from sidestep import command, failure
        async def main(odd: str):
            found = []
            for id, kind in (("plain", RuntimeError), (odd, RuntimeError), ("late", TimeoutError)):
                try:
                    await command(["x"], id=id)
                except kind as error:
                    found.append([type(error).__name__, failure(error), str(error)])
            try:
                {}["x"]
            except KeyError as error:
                found.append(failure(error))
            return found
        """,
        lambda call: fail("m: 1\n2", FailureCode.TIMEOUT if call.payload["id"] == "late" else FailureCode.STEP),
        args={"odd": odd},
    )
    plain, strange, late, own = trace.value
    assert plain == [
        "RuntimeError",
        {"step": "plain", "code": "step", "message": "m: 1\n2"},
        'step in step "plain": m: 1\n2',
    ]
    assert strange[1] == {"step": odd, "code": "step", "message": "m: 1\n2"}
    assert late[:2] == ["TimeoutError", {"step": "late", "code": "timeout", "message": "m: 1\n2"}]
    assert (own["step"], own["code"]) == (None, "script")


def test_on_error_return_gives_the_failure_instead_of_raising():
    trace = conduct(
        """
        from sidestep import command
        async def main():
            return await command(["x"], id="x", on_error="return")
        """,
        lambda _: fail("no", FailureCode.TIMEOUT),
    )
    assert trace.value == {"error": {"code": "timeout", "message": "no", "stepId": "x"}}


def test_an_output_nested_deeper_than_the_sandbox_reads_fails_its_step_clearly():
    deep: object = 1
    for _ in range(300):
        deep = [deep]
    trace = conduct("from sidestep import command\nasync def main():\n    await command(['x'], id='x')", lambda _: deep)
    assert trace.failure.message.startswith('RuntimeError: validation in step "x": the output cannot be given')


@pytest.mark.parametrize(
    "use",
    ["command(['x'], id='a')", "x = command", "[c for c in [command]]", "print(command)"],
)
def test_a_forgotten_import_is_a_name_error_that_names_it(use: str):
    trace = conduct(f"async def main():\n    {use}")
    assert trace.failure.message.endswith("name 'command' is not defined; add: from sidestep import command")
    assert trace.failure.line == 2


def test_names_bind_where_the_import_stands_also_renamed_and_over_lines():
    trace = conduct(
        """
        from sidestep import (
            log as say,  # why
            parallel,
        )
        async def main():
            from sidestep import command as run
            say("x")
            return await parallel([run(["x"], id="a")])
        """
    )
    assert trace.value == ["a"]
    assert trace.step("a").line == 9
    failure = conduct("from sidestep import log as say\nasync def main():\n    log('x')").failure
    assert "name 'log' is not defined" in failure.message


@pytest.mark.parametrize(
    ("source", "told", "line"),
    [
        ("\nimport sidestep", "write: from sidestep import", 2),
        ("\nfrom sidestep.x import command", "write: from sidestep import", 2),
        ("\nfrom sidestep import frobnicate", "cannot import 'frobnicate' from sidestep", 2),
        ("\n\nfrom sidestep import *", "name what the script uses", 3),
    ],
)
def test_other_imports_of_sidestep_say_what_to_write(source: str, told: str, line: int):
    failure = conduct(source + "\nasync def main():\n    pass").failure
    assert told in failure.message
    assert failure.line == line


def test_what_a_script_assigns_at_its_top_level_does_not_reach_the_primitives():
    trace = conduct(
        """
        from sidestep import command, log, parallel, failure
        json = asyncio = re = len = str = type = isinstance = dict = list = set = host = limits = state = None
        RuntimeError_ = RuntimeError
        async def main():
            log("x", a=[1])
            try:
                await parallel({"a": command(["x"], id="a"), "b": command(["y"], id="b")})
            except RuntimeError_ as error:
                return failure(error)
        """,
        lambda _: fail(),
    )
    assert trace.value == {"step": "a", "code": "step", "message": "exit code 1"}


def test_a_script_may_await_steps_at_its_top_level_and_have_a_plain_main():
    trace = conduct(
        """
        from sidestep import command
        first = await command(["x"], id="a")
        def main():
            return first
        """
    )
    assert trace.value == "a"


def test_a_host_call_a_script_makes_by_itself_is_checked():
    trace = conduct(
        """
        from sidestep import command
        async def main():
            found = []
            for text in ("", "{}", '{"call": "command", "payload": {}, "line": null, "scopes": []}'):
                try:
                    __sidestep_host__(text)
                except ValueError as error:
                    found.append(str(error))
            try:
                __sidestep_host__({}, 1)
            except ValueError as error:
                found.append(str(error))
            return found
        """
    )
    assert len(trace.value) == 4
    assert trace.calls == []


def test_printed_output_is_capped_over_the_whole_run():
    """X3: the cap is for the run, not for a turn."""
    trace = conduct(
        """
        from sidestep import command
        async def main():
            for n in range(4):
                print("x" * 400)
                await command(["x"], id=str(n))
        """,
        settings=Settings(sandbox_printed_bytes_max=1024),
    )
    assert [len(call.payload["text"]) for call in trace.named("print")][:3] == [400, 400, 160]
    assert "dropped" in trace.named("print")[3].payload["text"]
    assert len(trace.named("print")) == 4


def test_arguments_with_half_characters_reach_main():
    trace = conduct("async def main(text: str):\n    return [len(text), text]", args={"text": "a\ud800\U0001f600"})
    assert trace.value == [3, "a\ufffd\U0001f600"]


def test_arguments_that_do_not_fit_main_are_a_script_error():
    trace = conduct("async def main(a: int):\n    return a", args={"b": 1})
    assert isinstance(trace.ended, ScriptRaised)
    assert "main() got an unexpected keyword argument 'b'" in trace.failure.message


def test_a_script_without_main_says_so():
    assert conduct("x = 1").failure.message == (
        "NameError: name 'main' is not defined; a script needs: async def main(...)"
    )


def test_details_may_be_named_like_the_subject_so_that_a_failure_can_be_logged_whole() -> None:
    source = "from sidestep import log, phase\nasync def main():\n    log('x', **{'message': 'm', 'code': 'step'})\n"
    trace = conduct(source + "    phase('p', name='n')\n    log(message='y')\n")
    payloads = [call.payload for call in trace.calls if call.name in ("log", "phase")]
    assert payloads == [
        {"message": "x", "data": {"message": "m", "code": "step"}},
        {"name": "p", "details": {"name": "n"}},
        {"message": "y", "data": {}},
    ]
