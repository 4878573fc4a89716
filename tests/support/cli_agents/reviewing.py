"""
A CLI agent that reviews: it finds what the lane it is asked for would, and refutes what is said of `fine.py`.

Its argument is a file that gets a line for each call: the lane, or the place it was to verify.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

prompt = sys.stdin.read()
answer: dict[str, Any]
if prompt.startswith("Review a change"):
    asked = next(word for word in ("wrong behaviour", "attacker", "no test would miss", "dead code") if word in prompt)
    found = re.findall(r"^    \+\+\+ b/(\S+)$", prompt, re.MULTILINE) if asked == "wrong behaviour" else []
    new = re.findall(r"^- (\S+)$", prompt, re.MULTILINE) if asked == "attacker" else []
    places = [*found, *new]
    answer = {
        "findings": [
            {"file": place, "line": 2, "severity": "high", "title": f"{place} is wrong", "detail": "It fails."}
            for place in places
        ]
    }
else:
    asked = re.findall(r"^Where: (\S+)$", prompt, re.MULTILINE)[0]
    answer = {"holds": "no" if asked.startswith("fine.py") else "yes", "reason": "I looked."}
with Path(sys.argv[1]).open("a") as file:
    file.write(f"{asked}\n")
print(f"```json\n{json.dumps(answer)}\n```")
