"""
A CLI agent that works on `calc.py` in the folder it runs in: what it writes first is wrong, what it mends is right.

Arguments: a file that gets a line for each call, before anything is done; and a folder in which the name of what is
asked ("implement", "review", "mend") has it wait, for whoever opens the pipe `gate` there, before it answers.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

BEGINNINGS = {"Do this task": "implement", "Review an uncommitted change": "review", "In the workspace folder": "mend"}

prompt = sys.stdin.read()
asked = next(name for beginning, name in BEGINNINGS.items() if prompt.startswith(beginning))
calls, holds = map(Path, sys.argv[1:])
with calls.open("a") as file:
    file.write(f"{asked}\n")
if (holds / asked).exists():
    (holds / "gate").read_text()
code = Path("calc.py")
if asked == "review":
    verdict = {"blockers": [], "suggestions": ["say what add does"]}
    if "-" in code.read_text():
        verdict["blockers"].append({"file": "calc.py", "line": 2, "problem": "add subtracts"})  # type: ignore[arg-type]
    print(f"I read it.\n\n```json\n{json.dumps(verdict)}\n```")
else:
    sign = "-" if asked == "implement" else "+"
    code.write_text(f"def add(a, b):\n    return a {sign} b\n")
    print(f"I did it with {sign}.")
