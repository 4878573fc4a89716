"""
Which `workflow/*` requests this server takes, and how each is let in: all the wire has to know of them before they are
served. What serves them (`workflow_methods.py`) is loaded after the initialize reply.
"""

from __future__ import annotations

from sidestep.rpc.router import Admission

# Answered whatever the load; the first three decide themselves how a cancellation is answered.
_NOT_COUNTED = {
    "workflow/start": Admission.WAITING,
    "workflow/resume": Admission.WAITING,
    "workflow/retry": Admission.WAITING,
    "workflow/interrupt": Admission.ALWAYS,
    "workflow/health": Admission.ALWAYS,
}
_COUNTED = (
    *("workflow/background", "workflow/list", "workflow/get", "workflow/steps", "workflow/events"),
    *("workflow/subscribe", "workflow/unsubscribe", "workflow/answer", "workflow/scripts", "workflow/validate"),
    *("workflow/trust", "workflow/delete"),
)

# Methods served, with their admission; params and results stand in `sidestep_protocol.METHODS`.
ADMISSIONS = {**_NOT_COUNTED, **dict.fromkeys(_COUNTED, Admission.COUNTED)}

# What they answer grows with what a run has to tell, or with how many there are. Subscriptions keep their own pace.
LARGE = frozenset({"workflow/list", "workflow/get", "workflow/steps", "workflow/events"})

# Nothing of them has to be waited for.
AT_ONCE = frozenset({"workflow/unsubscribe"})
