"""The text of a new workflow: a small one that runs as it is and shows what there is to know, or a built-in one."""

from __future__ import annotations

from pathlib import Path

from sidestep.scripts.discovery import builtin_folder, is_name

_STARTER = '''\
"""Say in one line what this workflow does; lists show it."""

from sidestep import command, log, parallel, phase  # and agent, ask, apply_patch, workflow, pipeline, sleep, failure


async def main(folder: str = ".", limit: int = 5):
    """
    The parameters of main are the workflow's arguments: sidestep run NAME folder=src limit=3

    Args:
        folder: Folder to look at, relative to the workspace.
        limit: How many files to name.
    """
    # A step is what is never done twice: its result is stored when it is finished, and a run that is interrupted goes
    # on behind it. Its id names it; in a loop use an id that changes, such as id=f"tests:{n}".
    phase("look")
    files, version = await parallel(
        [
            command(["ls", "-1", "-S", folder], id="list the files"),
            command(["git", "--version"], id="ask git", check=False),
        ]
    )
    names = files["stdout"].splitlines()
    log(f"{len(names)} files", folder=folder)

    # An agent is asked like this, and with a schema it answers with data (`sidestep doctor` lists the agents):
    #   judgement = await agent(f"Which of these is too long? {names}", id="judge", schema={"type": "string"})
    # A person like this; the question waits, also while nothing runs:
    #   if await ask("Go on?", id="go on?", choices=["yes", "no"]) == "no": return None
    # In a loop, and for whatever may fail, `sidestep guide` has the patterns.

    # A text that is returned is the report. {"report": text, "data": anything} gives data to programs as well.
    phase("report")
    lines = [f"- {name}" for name in names[:limit]]
    return "\\n".join([f"# The largest of {len(names)} files", "", *lines, "", version["stdout"].strip()])
'''


def starter_text() -> str:
    """A workflow script that passes the check."""
    return _STARTER


def builtin_names() -> list[str]:
    """The built-in workflows, in the order of their names."""
    return sorted(path.stem for path in Path(builtin_folder()).glob("*.py") if is_name(path.stem))


def builtin_text(name: str) -> str:
    """The source of a built-in workflow, which is written as an author would write it."""
    assert name in builtin_names(), "whoever asks has looked"
    return Path(builtin_folder(), f"{name}.py").read_text(encoding="utf-8")
