/** The workflows that the tests in the extension host run. */
export const SCRIPTS = {
  // Two steps, one of them held until the file `go` is there: interrupted in the second, the first is kept.
  slow: `"""Two steps, the second one waits for a file."""
from sidestep import command, phase

WAIT = "while [ ! -e go ]; do sleep 0.05; done; echo went"

async def main(word: str = "hello"):
    phase("first")
    await command(["echo", word], id="say")
    phase("second")
    await command(["sh", "-c", WAIT], id="wait")
    return f"# {word}"
`,
  // Many events for a death of the server to fall into; the last ten steps are held too, so it is not over by then.
  busy: `"""Many short steps, the last ones wait for a file."""
from sidestep import command, log, phase

WAIT = "while [ ! -e go ]; do sleep 0.05; done"

async def main(steps: int = 60):
    for n in range(steps):
        if n % 20 == 0:
            phase(f"part {n // 20}")
        log(f"step {n}")
        await command(["sh", "-c", "sleep 0.03" if n < 50 else WAIT], id=f"step:{n}")
    return "done"
`,
  ask: `"""One question."""
from sidestep import ask

async def main():
    answer = await ask("Ship it?", id="ship", choices=["yes", "no"])
    return f"answered {answer}"
`,
  outer: `"""A nested workflow."""
from sidestep import phase, workflow

async def main():
    phase("inside")
    return await workflow("slow", id="inner", args={"word": "nested"})
`,
  form: `"""Arguments of many types."""
from typing import Literal

async def main(count: int, pace: Literal["calm", "brisk"] = "calm", dry: bool = False, files: list[str] | None = None):
    return {"count": count, "pace": pace, "dry": dry, "files": files}
`,
  broken: `"""Does not say what its steps are called."""
from sidestep import command

async def main():
    await command(["ls"])
`,
  think: `"""One agent step."""
from sidestep import agent

async def main():
    return await agent("Think.", id="think", agent="host")
`,
};
