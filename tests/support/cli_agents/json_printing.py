"""A CLI agent that prints a notice, then one JSON object over several lines; `--fail` makes it say that it failed."""

from __future__ import annotations

import json
import sys

fails = "--fail" in sys.argv
prompt = sys.stdin.read()
print("A new version is available.")
document = {
    "result": "the credit is used up" if fails else f"Done: {prompt}",
    "is_error": fails,
    "total_cost_usd": 0.0125,
    "usage": {"input_tokens": 3, "cached": 40, "output_tokens": 6},
    "models": {"small": {"tokens": 1}, "large": {"tokens": 2}},
}
print(json.dumps(document, indent=2))
