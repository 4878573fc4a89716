"""The real clock and real randomness, behind the model's ports, and what this program's version is."""

from __future__ import annotations

import asyncio
import base64
import os
import time

VERSION = "0.1.0"

# A machine that was asleep is noticed this soon after it wakes.
_WALL_CLOCK_CHECK_S = 5.0


class SystemClock:
    """Implements `model.ports.Clock`."""

    def now_ms(self) -> int:
        return time.time_ns() // 1_000_000

    async def sleep_until(self, at_ms: int) -> None:
        # The loop's clock stands still while the machine sleeps; the wall clock does not.
        while (left_ms := at_ms - self.now_ms()) > 0:  # noqa: ASYNC110 -- no event says that the machine woke up
            await asyncio.sleep(min(left_ms / 1000, _WALL_CLOCK_CHECK_S))

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


class RandomIds:
    """Implements `model.ports.IdSource`, and makes the words people quote from logs."""

    def run_id(self) -> str:
        return "run_" + random_word()

    def incident_id(self) -> str:
        return "inc_" + random_word()


def random_word() -> str:
    """16 base32 characters: 80 random bits."""
    return base64.b32encode(os.urandom(10)).decode().lower()
