"""Implement a task: an agent writes it, the tests and a reviewer judge it, and it is mended until both are content."""

# pyright: basic
# A script is written as its authors write theirs: only `main` has types.

import json
import re

from sidestep import agent, command, failure, log, parallel, phase

# Nothing that is paid for is thrown away: what an agent did is a finished step, a reviewer that fails does not stop the
# tests, and an agent that fails fails the run, which `sidestep runs continue` takes up at that very step.

ROUNDS_MAX = 10
# What agents are shown of a diff and of what the tests said, in characters; more is in the workspace.
DIFF_CHARS_MAX = 60_000
TESTS_CHARS_MAX = 8_000
NEW_FILES_MAX = 200
# An agent whose time is up has this long to leave the files whole and say what is missing.
GRACE_S = 120

REVIEW = {
    "type": "object",
    "required": ["blockers", "suggestions"],
    "additionalProperties": False,
    "properties": {
        "blockers": {
            "type": "array",
            "maxItems": 20,
            "items": {
                "type": "object",
                "required": ["file", "problem"],
                "properties": {
                    "file": {"type": "string", "description": "path from the workspace folder"},
                    "line": {"type": ["integer", "null"], "minimum": 1},
                    "problem": {"type": "string", "minLength": 1, "description": "what is wrong, and what to do"},
                },
            },
        },
        "suggestions": {"type": "array", "maxItems": 20, "items": {"type": "string"}},
    },
}

# What a project is tested with, by a file in its folder; the first one counts. make and npm are looked at closer.
TEST_COMMANDS = [
    ("Makefile", ["make", "test"]),
    ("package.json", ["npm", "test"]),
    ("Cargo.toml", ["cargo", "test"]),
    ("go.mod", ["go", "test", "./..."]),
    ("mix.exs", ["mix", "test"]),
    ("gradlew", ["./gradlew", "test"]),
    ("pom.xml", ["mvn", "-q", "test"]),
    ("uv.lock", ["uv", "run", "pytest", "-q"]),
    ("pytest.ini", ["python3", "-m", "pytest", "-q"]),
    ("conftest.py", ["python3", "-m", "pytest", "-q"]),
    ("pyproject.toml", ["python3", "-m", "pytest", "-q"]),
    ("tests", ["python3", "-m", "pytest", "-q"]),
]


async def main(
    task: str,
    test: list[str] | None = None,
    rounds: int = 3,
    implementer: str | None = None,
    reviewer: str | None = None,
    agent_minutes: float = 60,
    test_minutes: float = 30,
):
    """
    Args:
        task: What is to be done, as you would tell a colleague; task=@FILE takes it from a file.
        test: Program and arguments that test the change (test=make test=check); looked for in the project otherwise.
        rounds: How often the change is tested and reviewed at most (1 to 10).
        implementer: Agent that writes; the default agent otherwise.
        reviewer: Agent that reviews; the default agent otherwise.
        agent_minutes: Minutes an agent may take for one step.
        test_minutes: Minutes the tests may take.
    """
    if not 1 <= rounds <= ROUNDS_MAX:
        raise ValueError(f"rounds must be from 1 to {ROUNDS_MAX}, not {rounds}")
    if not task.strip():
        raise ValueError("task is empty: say what is to be done")
    phase("look at the project")
    before, argv = await parallel([look(), find_test_command(test)])
    log("the tests are " + " ".join(argv) if argv else "no test command was found: only the reviewer judges")

    phase("implement")
    writing = {
        "agent": implementer,
        "timeout_s": agent_minutes * 60,
        "grace_s": GRACE_S,
        "final_instructions": "Your time is up. Leave every file whole, and say what is done and what is missing.",
    }
    done = [await agent(implement_prompt(task, argv), id="implement", **writing)]

    history = []
    for n in range(1, rounds + 1):
        phase("verify", round=n)
        change = await look_at_change(before, n)
        tests, review = await parallel(
            [
                run_tests(argv, n, test_minutes * 60),
                tried(
                    agent(
                        review_prompt(task, argv, change),
                        id=f"review:{n}",
                        schema=REVIEW,
                        agent=reviewer,
                        timeout_s=agent_minutes * 60,
                    )
                ),
            ]
        )
        history.append(judged(n, tests, review, change))
        if history[-1]["green"]:
            break
        log(f"round {n} is red", blockers=len(history[-1]["blockers"]))
        if n < rounds:
            phase("mend", round=n)
            done.append(await agent(mend_prompt(task, argv, history[-1]), id=f"mend:{n}", **writing))
    return result(task, argv, done, history)


async def tried(step):
    """(What a step gave, None), or (None, its error): whoever asked decides what a failure means."""
    try:
        return await step, None
    except (RuntimeError, TimeoutError) as error:
        return None, error


def judged(n, tests, review, change):
    """
    One round: what is in the way of the change.

    A reviewer that failed is no reason to stop while the tests have something to mend. Once they are green its verdict
    is what is missing, so the run fails with its error: when it is continued, only the review is asked for again.
    """
    verdict, error = review
    if verdict is None and not tests["red"]:
        raise error
    blockers = [tests["said"]] if tests["red"] else []
    blockers += [f"{place(found)}: {found['problem'].strip()}" for found in verdict["blockers"]] if verdict else []
    return {
        "round": n,
        "green": not blockers,
        "tests": tests["verdict"],
        "review": f"{count(verdict['blockers'], 'blocker')}" if verdict else "failed: " + failure(error)["message"],
        "blockers": blockers,
        "suggestions": verdict["suggestions"] if verdict else [],
        "files": change["files"],
    }


def place(found):
    return f"{found['file']}:{found['line']}" if found.get("line") else found["file"]


def count(items, noun):
    return f"{len(items)} {noun}{'' if len(items) == 1 else 's'}"


# ---------------------------------------------------------------- questions to the project


async def git(arguments, *, id):
    """One git command as a step; its failure is an answer, too: the workspace need not be a repository."""
    return await command(
        ["git", "--no-pager", "-c", "core.quotePath=false", *arguments],
        id=id,
        env={"GIT_OPTIONAL_LOCKS": "0"},
        check=False,
        allow_truncated=True,
        on_error="return",
    )


def lines_of(output):
    return output["stdout"].splitlines() if output.get("exit_code") == 0 else []


async def look():
    """How it was before: a commit with everything tracked as it is now, or None, and the files that are not tracked."""
    head, kept, others = await parallel(
        [
            git(["rev-parse", "--verify", "--quiet", "HEAD"], id="find the last commit"),
            # A commit of the uncommitted state that nothing names and that touches no file; none when there is nothing.
            git(["stash", "create"], id="remember what is uncommitted"),
            git(["ls-files", "--others", "--exclude-standard"], id="list new files before"),
        ]
    )
    base = (lines_of(kept) or lines_of(head) or [None])[0]
    return {"base": base, "others": lines_of(others)}


async def look_at_change(before, n):
    """What was changed since: {"files", "diff", "new"}; nothing is known of it outside of a git repository."""
    others = lines_of(await git(["ls-files", "--others", "--exclude-standard"], id=f"list new files:{n}"))
    new = sorted(set(others) - set(before["others"]))
    if before["base"] is None:
        return {"files": new, "diff": "", "new": new}
    options = ["diff", "--no-color", "--no-ext-diff", "--relative", before["base"]]
    names, diff = await parallel(
        [git([*options, "--name-only"], id=f"list changes:{n}"), git(options, id=f"read changes:{n}")]
    )
    return {"files": sorted({*lines_of(names), *new}), "diff": diff.get("stdout", ""), "new": new}


async def find_test_command(given):
    """The words of the test command, or None; a program that is not there is told before an agent is paid."""
    argv = given or await detected_test_command()
    if not argv:
        return None
    # With pytest, Python alone is not enough.
    is_module = argv[1:3] == ["-m", "pytest"]
    look = [*argv[:3], "--version"] if is_module else ["sh", "-c", 'command -v "$1"', "sh", argv[0]]
    found = await command(look, id="look for the test program", check=False, on_error="return")
    if "error" in found:
        raise RuntimeError(f"the tests cannot be run: {found['error']['message']}")
    if found["exit_code"] != 0:
        program = " ".join(argv[:3] if is_module else argv[:1])
        raise RuntimeError(f"the tests cannot be run, {program} is not there; say test=PROGRAM test=ARGUMENT")
    return argv


async def detected_test_command():
    files = set((await command(["ls", "-1A"], id="list the folder"))["stdout"].splitlines())
    for file, argv in TEST_COMMANDS:
        if file not in files:
            continue
        if file in ("Makefile", "package.json"):
            text = (await command(["cat", file], id=f"read {file}", allow_truncated=True))["stdout"]
            if not (has_make_target(text) if file == "Makefile" else has_npm_script(text)):
                continue
        if argv[0] == "python3" and ".venv" in files:
            return [".venv/bin/python", *argv[1:]]
        return argv
    return None


def has_make_target(text):
    return re.search("(?m)^test[ \t]*:(?!=)", text) is not None


def has_npm_script(text):
    try:
        script = json.loads(text)["scripts"]["test"]
    except (ValueError, KeyError, TypeError):
        return False
    # What `npm init` writes.
    return isinstance(script, str) and "no test specified" not in script


async def run_tests(argv, n, timeout_s):
    """{"red", "verdict", "said"}. Tests that do not end are red; tests that cannot begin fail the run."""
    if argv is None:
        return {"red": False, "verdict": "none", "said": ""}
    words = " ".join(argv)
    try:
        tests = await command(argv, id=f"tests:{n}", check=False, allow_truncated=True, timeout_s=timeout_s)
    except TimeoutError as error:
        said = f"`{words}` did not end: {failure(error)['message']}"
        return {"red": True, "verdict": "did not end", "said": said}
    if tests["exit_code"] == 0:
        return {"red": False, "verdict": "green", "said": ""}
    tail = end_of((tests["stdout"] + "\n" + tests["stderr"]).strip(), TESTS_CHARS_MAX)
    said = f"`{words}` ended with exit code {tests['exit_code']}:\n\n{indented(tail)}"
    return {"red": True, "verdict": f"red (exit code {tests['exit_code']})", "said": said}


def end_of(text, chars_max):
    return text if len(text) <= chars_max else "[...] " + text[-chars_max:]


def indented(text):
    return "\n".join(["    " + line for line in text.splitlines()])


# ---------------------------------------------------------------- what agents are told


def implement_prompt(task, argv):
    tests = f"\nThe change is tested with `{' '.join(argv)}`; add tests for what you do." if argv else ""
    return (
        f"Do this task in the workspace folder, by editing its files:\n\n{task}\n{tests}\n"
        "Keep to the style of the code around, change nothing that the task does not need, and commit nothing.\n"
        "End with a few lines on what you did and what you left out."
    )


def review_prompt(task, argv, change):
    parts = [
        "Review an uncommitted change in the workspace folder strictly. Edit nothing.",
        f"The task was:\n\n{task}",
        "A blocker is what keeps the task from being done right: a part of it is missing, wrong behaviour, lost data, "
        "a security hole, tests that are missing or test nothing. Say what to do about it. Anything else is a "
        "suggestion. Look at the files themselves before you claim something.",
    ]
    if argv:
        parts.append(f"Whether `{' '.join(argv)}` passes is found out by somebody else.")
    if change["new"]:
        parts.append("New files:\n" + "\n".join([f"- {name}" for name in change["new"][:NEW_FILES_MAX]]))
    if change["diff"]:
        shown = end_of(change["diff"], DIFF_CHARS_MAX)
        parts.append(f"The diff of the files that were there before:\n\n{indented(shown)}")
    return "\n\n".join(parts)


def mend_prompt(task, argv, judgement):
    listed = "\n".join([f"{at}. {blocker}" for at, blocker in enumerate(judgement["blockers"], 1)])
    tests = f" `{' '.join(argv)}` has to pass." if argv else ""
    return (
        f"In the workspace folder a change for this task is being made:\n\n{task}\n\n"
        f"It was tested and reviewed. Mend what was found:\n\n{listed}\n\n"
        f"Mend the cause, and weaken no test.{tests} Where a point is wrong, leave it and say why. Commit nothing.\n"
        "End with a few lines on what you did."
    )


# ---------------------------------------------------------------- the report


def result(task, argv, done, history):
    last = history[-1]
    rounds = count(history, "round")
    title = f"Green after {rounds}" if last["green"] else f"Still red after {rounds}"
    rows = [f"| {each['round']} | {each['tests']} | {each['review']} |" for each in history]
    parts = [
        f"# {title}",
        task.strip(),
        "Tests: " + (f"`{' '.join(argv)}`" if argv else "**none were found**; only the reviewer judged the change."),
        "\n".join(["| Round | Tests | Review |", "|--:|---|---|", *rows]),
    ]
    if not last["green"]:
        parts.append("## What is left\n\n" + "\n".join([f"- {blocker}" for blocker in last["blockers"]]))
    if last["suggestions"]:
        parts.append("## Suggestions\n\n" + "\n".join([f"- {each}" for each in last["suggestions"]]))
    files = "\n".join([f"- `{name}`" for name in last["files"]]) or "No change was seen in a git repository."
    parts.append(f"## Files\n\n{files}")
    parts.append("## What the agent said\n\n" + "\n\n".join([str(each).strip() for each in done]))
    data = {
        "green": last["green"],
        "test": argv,
        "rounds": [
            {name: each[name] for name in ("round", "green", "tests", "review", "blockers")} for each in history
        ],
        "blockers": last["blockers"],
        "suggestions": last["suggestions"],
        "files": last["files"],
    }
    return {"report": "\n\n".join(parts) + "\n", "data": data}
