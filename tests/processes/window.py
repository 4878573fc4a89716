"""
One editor window: a sidecar of its own with its folders open, what it is asked, and the harm that is done to it.
"""

from __future__ import annotations

import contextlib
import signal
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tests.processes.work_rules import Sidecar
from tests.support.expectations import UNMET, Expectation, Finding, met
from tests.support.raw_client import RawClient

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    Message = dict[str, Any]

# For a test machine under load; nothing waits so long unless it hangs.
PATIENCE_S = 60.0


@dataclass(frozen=True)
class Outlook:
    """What a window is opened with, again and again; `is_mortal` says whether it may be killed."""

    name: str
    folders: tuple[Path, ...]
    auto_resume: bool
    is_mortal: bool = True


@dataclass(frozen=True)
class Asked:
    """A request that was sent; `run` is the name of the run it is about."""

    method: str
    run: str
    is_start: bool
    waits: bool


class Window:
    """One sidecar from birth to death. Its messages stay afterwards."""

    def __init__(self, outlook: Outlook, store: Path, mark: dict[str, str]) -> None:
        """`mark` is added to the environment, and so to that of everything the sidecar starts."""
        self.outlook = outlook
        self.client = RawClient.spawn(store=store, env=mark)
        # Unanswered, by request id.
        self.asked: dict[int, Asked] = {}
        self.is_alive = True
        self.is_stopped = False
        # True when somebody killed it.
        self.was_killed = False
        self._read = 0
        self._waking: threading.Timer | None = None
        # The wake comes from a thread of its own.
        self._lock = threading.Lock()
        folders = frozenset(str(folder.resolve()) for folder in outlook.folders)
        self.sidecar = Sidecar(outlook.name, self.client.process.pid, folders, outlook.auto_resume)

    def initialize(self) -> None:
        self.client.initialize(
            folders=self.outlook.folders,
            workflow={"events": True, "interaction": True},
            options={"autoResume": self.outlook.auto_resume},
        )

    # -- Asking

    def ask(self, method: str, params: Message, run: str) -> int:
        """Send a request and wait for nothing. One to a dead sidecar is lost, as it would be."""
        is_start = method == "workflow/start"
        waits = "mode" in params and params["mode"] == "foreground"
        number = self.client.new_id()
        self.asked[number] = Asked(method, run, is_start, waits)
        with contextlib.suppress(BrokenPipeError):
            self.client.send({"id": number, "method": method, "params": params})
        return number

    def cancel(self, number: int) -> None:
        with contextlib.suppress(BrokenPipeError):
            self.client.cancel(number)

    def news(self) -> Iterator[Message]:
        """Messages since the last call; answers are taken off `asked` by the caller."""
        end = self.client.mark()
        fresh, self._read = self.client.messages[self._read : end], end
        yield from fresh

    def answered(self, numbers: Sequence[int], since: int, within_s: float = PATIENCE_S) -> None:
        """Wait until all these requests are answered. Raises: ExpectationFailed: they are not."""
        wanted = set(numbers)

        def judge(messages: Sequence[Message]) -> Finding:
            left = wanted - {message.get("id") for message in messages if "method" not in message}
            return met(None) if not left else UNMET

        self.client.expect(Expectation(f"answers to {sorted(wanted)}", judge), since=since, within_s=within_s)

    # -- Harm

    def kill(self) -> None:
        """SIGKILL, also to a stopped one; what it said before stays."""
        with self._lock:
            self.was_killed = True
            self.is_alive = False
        self.client.kill()
        self.client.wait_stdout_end()
        self._forget_waking()

    def stop(self, seconds: float) -> None:
        """SIGSTOP, and SIGCONT so much later."""
        with self._lock:
            self.is_stopped = True
        self.client.signal(signal.SIGSTOP)
        self._waking = threading.Timer(seconds, self.wake)
        self._waking.daemon = True
        self._waking.start()

    def wake(self) -> None:
        with self._lock:
            if self.is_stopped and self.is_alive:
                self.sidecar.woken_at_ms.append(time.time() * 1000)
                self.client.signal(signal.SIGCONT)
            self.is_stopped = False

    def leave(self) -> int:
        """Say goodbye; returns the exit code when all it said is read."""
        self._forget_waking()
        code = self.client.shut_down()
        self.client.wait_stdout_end()
        self.is_alive = False
        return code

    def close(self) -> None:
        """Whatever became of it: nothing of it is left."""
        self._forget_waking()
        self.client.close()

    def _forget_waking(self) -> None:
        if self._waking is not None:
            self._waking.cancel()
            self._waking.join()
