"""
`sidestep serve` whose store is never done with being opened, on a clock that jumps to the next timer when nothing else
is to be done.

    python -m tests.protocol.hung_server SERVE FLAGS

Its last word, on stderr, is how many seconds of that clock went by from the end of stdin to the end of the process.
"""

from __future__ import annotations

import asyncio
import selectors
import sys
from typing import Any


class JumpingSelector(selectors.DefaultSelector):
    """Never waits for time to pass: what it would have waited for is added to the clock."""

    jumped_s = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None or timeout <= 0:
            return super().select(timeout)
        ready = super().select(0)
        if not ready:
            self.jumped_s += timeout
        return ready


class JumpingLoop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self.selector = JumpingSelector()
        super().__init__(self.selector)

    def time(self) -> float:
        return self.selector.jumped_s


def main() -> int:
    from sidestep.app import Application
    from sidestep.cli import serve
    from sidestep.rpc.session import Session

    left_s: list[float] = []
    loop = JumpingLoop()

    async def never(self: Application, parts: object) -> Any:
        # Named before the host hears of it: the test closes stdin once it has read this.
        sys.stderr.write("opening\n")
        sys.stderr.flush()
        await asyncio.Event().wait()

    receive_end = Session.receive_end

    def ended(self: Session) -> None:
        left_s.append(loop.time())
        receive_end(self)

    leave = serve._leave

    def tell(exit_code: int) -> int:
        sys.stderr.write(f"{loop.time() - left_s[0]:.3f}\n")
        sys.stderr.flush()
        return leave(exit_code)

    Application._open = never
    Session.receive_end = ended
    serve._leave = tell
    asyncio.set_event_loop_policy(_Policy(loop))
    return serve.main(sys.argv[1:])


class _Policy(asyncio.DefaultEventLoopPolicy):
    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__()
        self._only = loop

    def new_event_loop(self) -> asyncio.AbstractEventLoop:
        return self._only


if __name__ == "__main__":
    sys.exit(main())
