"""A program whose input box is drawn as Claude Code's is, and that misbehaves on demand.

usage: claude.py LOG [MODE]; LOG gets a line of JSON for each text submitted, and for each dialog answered.

MODE is one of: plain; swallow (the first Enter after a text is lost); deaf (every Enter is lost); dialog (a dialog
covers the box as soon as a text is pasted, and Enter would approve it); cut (the box keeps only the first words of
what is pasted). Ctrl-D ends it.
"""

import json
import os
import re
import shutil
import sys
import termios
import tty
from pathlib import Path

BEGIN, END = "\x1b[200~", "\x1b[201~"
PASTE = f"({re.escape(BEGIN)}.*?{re.escape(END)})"
COLUMNS = shutil.get_terminal_size().columns
RULE = "\x1b[38;5;244m" + "─" * COLUMNS + "\x1b[39m"
WIDTH = COLUMNS - 4


class Program:
    """The state of the box, and what was submitted."""

    def __init__(self, log: Path, mode: str) -> None:
        self.log = log
        self.mode = mode
        self.text = ""
        self.said: list[str] = []
        self.asking = False
        self.swallowed = False

    def take(self, keys: str) -> None:
        """Act on what was typed."""
        for part in re.split(PASTE, keys, flags=re.DOTALL):
            if part.startswith(BEGIN):
                pasted = part.removeprefix(BEGIN).removesuffix(END).replace("\r", "\n")
                self.text += pasted[:20] if self.mode == "cut" else pasted
                self.asking = self.mode == "dialog"
                continue
            for key in part:
                self.press(key)

    def press(self, key: str) -> None:
        """Act on one key."""
        if key == "\x04":
            sys.exit()
        if key == "\x7f":
            self.text = self.text[:-1]
        elif key != "\r":
            self.text += key
        elif self.asking:
            self.record("approved")
        elif self.mode == "deaf":
            pass
        elif self.mode == "swallow" and not self.swallowed:
            self.swallowed = True
        elif self.text:
            self.said.append(self.text)
            self.record(self.text)
            self.text = ""

    def record(self, what: str) -> None:
        with self.log.open("a") as file:
            file.write(json.dumps(what) + "\n")

    def draw(self) -> None:
        lines = [f"❯ {said}" for said in self.said[-3:]]
        if self.asking:
            lines += [RULE, " Do you want to proceed?", " ❯ 1. Yes", "   2. No", "", " Esc to cancel"]
        else:
            rows = [row for line in self.text.split("\n") for row in wrapped(line)]
            shown = [f"❯\u00a0{rows[0]}", *(f"  {row}" for row in rows[1:])]
            lines += [RULE, *shown[:-1], shown[-1] + "\x1b[7m \x1b[0m", RULE, "  ? for shortcuts"]
        # Claude Code hides the cursor, and leaves it at the end of the text.
        up, across = (2, len(rows[-1]) + 3) if not self.asking else (0, 1)
        home = "\x1b[?25l\x1b[2J\x1b[H" + "\r\n".join(lines)
        os.write(1, f"{home}\x1b[{up}A\x1b[{across}G".replace("\x1b[0A", "").encode())


def wrapped(line: str) -> list[str]:
    return [line[start : start + WIDTH] for start in range(0, len(line), WIDTH)] or [""]


def main() -> None:
    program = Program(Path(sys.argv[1]), sys.argv[2] if len(sys.argv) > 2 else "plain")
    before = termios.tcgetattr(0)
    tty.setraw(0)
    os.write(1, b"\x1b[?2004h")
    keys = ""
    try:
        while True:
            program.draw()
            keys += os.read(0, 4096).decode(errors="replace")
            if keys.count(BEGIN) == keys.count(END):
                program.take(keys)
                keys = ""
    finally:
        termios.tcsetattr(0, termios.TCSADRAIN, before)


if __name__ == "__main__":
    main()
