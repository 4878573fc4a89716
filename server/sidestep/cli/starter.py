"""The text of a new workflow: a small one that runs as it is and shows what there is to know."""

from __future__ import annotations

_STARTER = '''\
"""Say in one line what this workflow does; lists show it."""

from sidestep import command, log, parallel, phase


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

    # A text that is returned is the report. {"report": text, "data": anything} gives data to programs as well.
    phase("report")
    lines = [f"- {name}" for name in names[:limit]]
    return "\\n".join([f"# The largest of {len(names)} files", "", *lines, "", version["stdout"].strip()])
'''


def starter_text() -> str:
    """A workflow script that passes the check."""
    return _STARTER
