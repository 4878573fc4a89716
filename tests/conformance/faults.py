"""Every fault by its name: `AnswersTwice` is `answers-twice`, and `none` is a server as it is."""

from __future__ import annotations

import re

# Defining a fault is all it takes.
from tests.conformance import cancel_faults, order_faults, other_faults
from tests.conformance.fault import Fault

__all__ = ["FAULTS", "cancel_faults", "order_faults", "other_faults"]

FAULTS: dict[str, type[Fault]] = {
    re.sub(r"(?<!^)(?=[A-Z])", "-", fault.__name__).lower(): fault for fault in Fault.__subclasses__()
}
FAULTS["none"] = Fault
