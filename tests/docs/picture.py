"""
The README's picture of the demo, drawn from a real one.

    python -m tests.docs.picture [FOLDER]

Runs the demo in a terminal of its own, in FOLDER (the working folder by default), follows what it does to the screen,
and writes `.github/demo.svg`. Needs a POSIX system; no test runs it.
"""

from __future__ import annotations

import os
import pty
import re
import struct
import sys
import termios
from fcntl import ioctl
from io import StringIO
from pathlib import Path
from subprocess import Popen

from rich.console import Console
from rich.terminal_theme import TerminalTheme
from rich.text import Text

from tests.docs.documents import ROOT

PICTURE = ROOT / ".github" / "demo.svg"
COLUMNS, ROWS = 100, 22
# Lines shown: the four acts and the beginning of the report.
LINES_MAX = 54

# What a terminal program writes: line ends, cursor movement, erasure, colours; the rest is ignored.
_CONTROL = re.compile(r"\r\n|\n|\r|\x1b\[(?P<numbers>[?\d;]*)(?P<final>[A-Za-z])")
# rich's own template loads a font from the network; a picture should not.
_FONT_FACE = re.compile(r"@font-face \{.*?\}\s*", re.DOTALL)

BACKGROUND, FOREGROUND = (24, 26, 31), (214, 218, 224)
BLACK, RED, GREEN, YELLOW = (60, 64, 72), (224, 108, 117), (132, 192, 112), (222, 184, 96)
BLUE, MAGENTA, CYAN = (97, 160, 239), (190, 130, 220), (86, 182, 194)
THEME = TerminalTheme(BACKGROUND, FOREGROUND, [BLACK, RED, GREEN, YELLOW, BLUE, MAGENTA, CYAN, FOREGROUND])


def record(folder: Path) -> str:
    """Everything the demo writes to its terminal."""
    ours, theirs = pty.openpty()
    ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
    paths = [str(ROOT / name) for name in ("server", "protocol")]
    environment = {**os.environ, "TERM": "xterm-256color", "PYTHONPATH": os.pathsep.join(paths)}
    environment.pop("NO_COLOR", None)
    command = [sys.executable, "-m", "sidestep.cli.demo"]
    process = Popen(command, cwd=folder, env=environment, stdin=theirs, stdout=theirs, stderr=theirs)
    os.close(theirs)
    written = bytearray()
    while True:
        try:
            piece = os.read(ours, 65536)
        except OSError:  # The other end is closed: Linux says so with an error.
            break
        if not piece:
            break
        written += piece
    if process.wait() != 0:
        raise SystemExit(written.decode(errors="replace"))
    return written.decode()


def screen_lines(written: str) -> list[str]:
    """
    The lines that stand on the screen in the end, with their colours.

    Enough for rich's live displays, which go up some lines, erase them and write them anew as a whole.
    """
    lines: list[str] = [""]
    row = position = 0
    for control in _CONTROL.finditer(written):
        lines[row] += written[position : control.start()]
        position = control.end()
        final, numbers = control["final"], control["numbers"] or ""
        if control[0] in ("\n", "\r\n"):
            row += 1
            lines += [""] * (row + 1 - len(lines))
        elif final == "A":
            row = max(row - int(numbers or 1), 0)
        elif final == "K":
            lines[row] = ""
        elif final == "m":
            lines[row] += control[0]
    lines[row] += written[position:]
    return lines


def draw(lines: list[str]) -> str:
    """The lines as an SVG picture."""
    console = Console(record=True, width=COLUMNS, file=StringIO(), force_terminal=True, color_system="truecolor")
    for line in lines[:LINES_MAX]:
        console.print(Text.from_ansi(line))
    if len(lines) > LINES_MAX:
        console.print("...", style="dim")
    svg = console.export_svg(title="make demo", theme=THEME, unique_id="demo")
    plain = _FONT_FACE.sub("", svg).replace("Fira Code", "ui-monospace, Menlo, Consolas")
    return "\n".join(line.rstrip() for line in plain.splitlines()) + "\n"


def main() -> None:
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else ".").resolve()
    PICTURE.parent.mkdir(exist_ok=True)
    PICTURE.write_text(draw(screen_lines(record(folder))), encoding="utf-8")


if __name__ == "__main__":
    main()
