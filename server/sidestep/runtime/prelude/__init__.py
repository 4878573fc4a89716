"""
The part of Sidestep that runs inside the sandbox: the primitives a script calls.

The loader feeds the modules named here to Monty before the author's script, one after the other, as the body of one
function (`loader.prelude_source`), so that nothing the script assigns at its top level (`len = 3`, `json = None`) can
reach them. `host` and `limits` are that function's parameters: `host` is the one way out, and only JSON texts of a
checked size go through it. `bridge.py` describes the texts.

These modules know no run and no journal. They use nothing that Monty lacks (no inheritance, `yield`, `del`,
`callable`), and no clock, no randomness and no order of a set: the same answers in the same order give the same calls.
"""

from __future__ import annotations

# Part of what a run is created with; changes when the same script could make other calls.
PRELUDE_VERSION = "1"

# In the order they are fed; a later one uses the names of the earlier ones.
MODULES = ("checks", "scopes", "asking", "steps", "fan")

# What scripts may import from sidestep.
PRIMITIVES = (
    "agent",
    "apply_patch",
    "ask",
    "command",
    "failure",
    "log",
    "parallel",
    "phase",
    "pipeline",
    "sleep",
    "workflow",
)

# What the loader's own insertions call.
INTERNALS = ("gather", "at", "run_main")
