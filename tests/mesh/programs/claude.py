"""A program whose input box is drawn as Claude Code's is, and that misbehaves on demand.

usage: claude.py LOG [MODE]; LOG gets a line of JSON for each text submitted, and for each dialog answered. Ctrl-S puts
a draft aside until the next text is submitted, Ctrl-G opens a dialog, Ctrl-D ends the program; a backslash before Enter
makes a line break.
"""

import json
import os
import re
import select
import shutil
import sys
import termios
import tty
from pathlib import Path

MODES = {
    "plain": "does as it should",
    "swallow": "the first Enter after a text is lost",
    "deaf": "every Enter is lost",
    "cut": "the box keeps only the first words of what is pasted",
    "dialog": "a dialog covers the box as soon as a text is pasted, and Enter would approve it",
    "redraw": "the screen is drawn anew all the time, in two halves",
    "menu": "a last word with @ or / opens a completion, which eats the Enter and rewrites the word",
    "vim": "the box is in normal mode: letters are commands until one of them begins to insert",
    "crash": "ends as soon as a text is pasted",
    "crash-late": "ends at Enter",
    "slow": "draws three characters at a time",
    "busy": "works all the time, and keeps what is submitted for later",
    "fold": "several lines are shown as a token",
    "before": "a person has typed something just before the paste",
    "after": "a person types something just after the paste",
    "ghost": "suggests something in the empty box",
    "panel": "a harmless panel covers the box until Escape",
}
BEGIN, END = "\x1b[200~", "\x1b[201~"
PASTE = f"({re.escape(BEGIN)}.*?{re.escape(END)})"
COLUMNS = shutil.get_terminal_size().columns
RULE = "\x1b[38;5;244m" + "─" * COLUMNS + "\x1b[39m"
WIDTH = COLUMNS - 4
QUESTION = [RULE, " Do you want to proceed?", " ❯ 1. Yes", "   2. No", "", " Esc to cancel"]
PANEL = [RULE, " Settings", "", " Esc to close the settings"]
TICK_SECONDS = 0.01


class Program:
    """The state of the box, and what was submitted."""

    def __init__(self, log: Path, mode: str) -> None:
        self.log = log
        self.mode = mode
        self.text = ""
        self.aside = ""
        self.pending = ""
        self.said: list[str] = []
        self.asking = False
        self.has_panel = mode == "panel"
        self.obeys = mode == "vim"
        self.swallowed = False
        self.pasted = False

    def take(self, keys: str) -> None:
        """Act on what was typed."""
        for part in re.split(PASTE, keys, flags=re.DOTALL):
            if part.startswith(BEGIN):
                self.paste(part.removeprefix(BEGIN).removesuffix(END).replace("\r", "\n"))
            elif self.mode == "slow":
                self.pending += part
            else:
                self.press(part)

    def paste(self, text: str) -> None:
        self.pasted = True
        if self.asking or self.has_panel:
            return
        match self.mode:
            case "vim" if self.obeys:
                self.press(text)
            case "slow":
                self.pending += text
            case "cut":
                self.text += text[:20]
            case "before":
                self.text += "my own words " + text
            case "after":
                self.text += text + " my own words"
            case _:
                self.text += text
        self.asking = self.mode == "dialog"

    def tick(self) -> None:
        """Let some time pass."""
        now, self.pending = self.pending[:3], self.pending[3:]
        self.press(now)
        if self.mode == "crash" and self.pasted:
            sys.exit()

    def press(self, keys: str) -> None:
        """Act on keys."""
        for key in keys:
            match key:
                case "\x04":
                    sys.exit()
                case "\x07":
                    self.asking = True
                case "\x1b":
                    self.has_panel = False
                case "\x13":
                    self.aside, self.text = self.text, self.aside
                case "\x7f":
                    self.text = self.text[:-1]
                case "\r":
                    self.enter()
                case _ if self.obeys:
                    self.obeys = key not in "aio"
                case _:
                    self.text += key

    def enter(self) -> None:
        if self.asking:
            self.record("approved")
        elif self.completes():
            self.text = self.text.rpartition(" ")[0] + " completed.py "
        elif self.text.endswith("\\"):
            self.text = self.text[:-1] + "\n"
        elif self.mode == "crash-late":
            sys.exit()
        elif self.mode == "swallow" and not self.swallowed:
            self.swallowed = True
        elif self.text and self.mode != "deaf":
            self.said.append(self.text)
            self.record(self.text)
            self.text, self.aside = self.aside, ""

    def completes(self) -> bool:
        return self.mode == "menu" and bool(re.search(r"\S*[@/]\S*\Z", self.text))

    def record(self, what: str) -> None:
        with self.log.open("a") as file:
            file.write(json.dumps(what) + "\n")

    def draw(self) -> None:
        lines = [f"❯ {said}".replace("\n", "\r\n  ") for said in self.said[-3:]]
        up, across = 0, 0
        if self.asking or self.has_panel:
            lines += PANEL if self.has_panel else QUESTION
        else:
            shown = f"[Pasted text #1 +{self.text.count(chr(10))} lines]" if self.folds() else self.text
            rows = [row for line in shown.split("\n") for row in wrapped(line)]
            content = [f"❯\u00a0{rows[0]}", *(f"  {row}" for row in rows[1:])]
            ghost = "\x1b[2mTry to refactor it\x1b[0m" if self.mode == "ghost" and not self.text else ""
            footer = ["  src/completed.py"] if self.completes() else ["  ? for shortcuts"]
            lines += [RULE, *content[:-1], content[-1] + (ghost or "\x1b[7m \x1b[0m"), RULE, *footer]
            # Claude Code hides the cursor, and leaves it at the end of the text.
            up, across = 2, len(rows[-1]) + 3
        title = "\x1b]2;⠂ Working\x07" if self.mode == "busy" else "\x1b]2;✳ Claude\x07"
        place = f"\x1b[{up}A\x1b[{across}G" if up else "\r"
        half = len(lines) - 2
        write(f"{title}\x1b[?25l\x1b[2J\x1b[H" + "\r\n".join(lines[:half]))
        write("\r\n" * bool(half) + "\r\n".join(lines[half:]) + place)

    def folds(self) -> bool:
        return self.mode == "fold" and "\n" in self.text


def wrapped(line: str) -> list[str]:
    return [line[start : start + WIDTH] for start in range(0, len(line), WIDTH)] or [""]


def write(text: str) -> None:
    os.write(1, text.encode())


def run(program: Program) -> None:
    keys = ""
    drawn = None
    while True:
        state = (program.text, program.asking, program.has_panel, len(program.said))
        if state != drawn or program.mode == "redraw":
            program.draw()
            drawn = state
        if select.select([0], [], [], TICK_SECONDS)[0]:
            keys += os.read(0, 4096).decode(errors="replace")
            if keys.count(BEGIN) == keys.count(END):
                program.take(keys)
                keys = ""
        else:
            program.tick()


def main() -> None:
    mode = sys.argv[2] if len(sys.argv) > 2 else "plain"
    if mode not in MODES:
        sys.exit(f"{mode} is not one of: {', '.join(MODES)}")
    before = termios.tcgetattr(0)
    tty.setraw(0)
    write("\x1b[?2004h")
    try:
        run(Program(Path(sys.argv[1]), mode))
    finally:
        termios.tcsetattr(0, termios.TCSADRAIN, before)
        write("\x1b[?2004l\x1b[?25h\r\n\x1b[J")


if __name__ == "__main__":
    main()
