"""
What a script is told when it reaches for something the sandbox does not have: an error that says what to do instead.

Every question the sandbox asks the host, other than a primitive, ends here; nothing is ever granted.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sidestep.runtime.prelude import PRIMITIVES

if TYPE_CHECKING:
    from typing import Literal

    # Names of exceptions the sandbox can raise for the host.
    Raised = Literal["RuntimeError", "PermissionError", "ModuleNotFoundError", "NameError"]

_NO_CLOCK = (
    "scripts have no clock, so that they replay the same; "
    'take the time from a step, e.g. await command(["date", "-u", "+%FT%TZ"], id="now")'
)
_NO_RANDOMNESS = (
    "scripts have no randomness, so that they replay the same; begin with random.seed(n), or take a value from a step"
)
_NO_SLEEP = "use await sleep(seconds, id=...) from sidestep, which survives a restart"
_NO_FILES = 'scripts have no files; run a command step, e.g. await command(["cat", path], id="read")'
_NO_ENVIRONMENT = "scripts have no environment; give the value as an argument of main, or run a command step"

_BY_PREFIX: tuple[tuple[str, Raised, str], ...] = (
    ("asyncio.sleep", "RuntimeError", _NO_SLEEP),
    ("time.sleep", "RuntimeError", _NO_SLEEP),
    ("time.", "RuntimeError", _NO_CLOCK),
    ("datetime.", "RuntimeError", _NO_CLOCK),
    ("date.", "RuntimeError", _NO_CLOCK),
    ("os.urandom", "RuntimeError", _NO_RANDOMNESS),
    ("os.environ", "RuntimeError", _NO_ENVIRONMENT),
    ("os.getenv", "RuntimeError", _NO_ENVIRONMENT),
)

# Builtins of Python that the sandbox lacks.
_BY_NAME = {
    "breakpoint": "there is no debugger; use log(...)",
    "callable": "the sandbox does not have it",
    "compile": "the sandbox does not have it",
    "dir": "the sandbox does not have it",
    "exit": "return from main, or raise an error",
    "globals": "the sandbox does not have it",
    "input": 'give main an argument, or use ask(question, id="...")',
    "issubclass": "the sandbox does not have it",
    "quit": "return from main, or raise an error",
    "super": "classes in the sandbox have no bases",
    "vars": "the sandbox does not have it",
    "__import__": "use an import statement",
}


def for_system_call(name: str, arguments: tuple[Any, ...]) -> tuple[Raised, str]:
    """What to raise for a system call; `name` is the sandbox's, for instance `time.time` or `open`."""
    if name == "import":
        return "ModuleNotFoundError", _for_import(str(arguments[0]) if arguments else "")
    for prefix, raised, message in _BY_PREFIX:
        if name.startswith(prefix):
            return raised, f"{name}: {message}"
    return "PermissionError", f"{name}: {_NO_FILES}"


def for_name(name: str) -> str | None:
    """A hint for a name that nothing has defined; None when there is nothing to say."""
    if name in PRIMITIVES:
        return f"add: from sidestep import {name}"
    if name == "main":
        return "a script needs: async def main(...)"
    return _BY_NAME.get(name)


def _for_import(module: str) -> str:
    message = f"No module named {module!r}"
    if module == "sidestep":
        return f"{message} in the sandbox; write: from sidestep import {', '.join(PRIMITIVES[:4])}, ..."
    return f"{message} in the sandbox; run what needs it as a command step"
