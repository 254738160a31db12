"""A program with an input box that keeps conversations, as Claude Code does, and misbehaves on demand.

usage: session.py MODE (new|resume) ID [ARGUMENT…]; what is submitted goes to a file below ~/.claude/projects, and what
follows the words "please run" is run. The mode `held` waits at its start, and at its end, until there is a file ~/go.
"""

import json
import os
import re
import shlex
import signal
import subprocess
import sys
import termios
import time
import tty
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))
from tests.mesh.programs.claude import MODES, Program, run, write


class Speaker(Program):
    """Keeps what it is told, and knows its own exit command."""

    def __init__(self, mode: str, conversation: str) -> None:
        key = re.sub("[^A-Za-z0-9]", "-", str(Path.cwd()))
        folder = Path.home() / ".claude" / "projects" / key
        folder.mkdir(parents=True, exist_ok=True)
        self.conversation = conversation
        self.stubborn = mode == "stubborn"
        self.held = mode == "held"
        super().__init__(folder / f"{conversation}.jsonl", mode if mode in MODES else "plain")
        if self.log.exists():
            self.said = [json.loads(line)["text"] for line in self.log.read_text().splitlines()]
        self.asking = mode == "login"
        if mode == "loud":
            for number in range(100):
                write(f"line {number} of many\r\n" * 1000)
        self.restless = mode == "restless"
        self.ticks = 0

    def tick(self) -> None:
        self.ticks += self.restless
        if self.ticks % 10 == 1:
            write(f"\x1bkname-{self.ticks}\x1b\\\x1b]2;title {self.ticks}\x07")
            subprocess.run(["tmux", "rename-window", "-t", os.environ["TMUX_PANE"], f"name-{self.ticks}"], check=False)
        super().tick()

    def record(self, what: str) -> None:
        if what.strip() == "/exit":
            if self.held:
                Path("leaving").touch()
                hold()
            if not self.stubborn:
                sys.exit()
            return
        with self.log.open("a") as file:
            line = {"sessionId": self.conversation, "cwd": str(Path.cwd()), "text": what}
            file.write(json.dumps(line) + "\n")
        if command := what.partition("please run ")[2]:
            with Path("commands.out").open("a") as output:
                subprocess.run(shlex.split(command), stdout=output, stderr=output, check=False)


def hold() -> None:
    while not (Path.home() / "go").exists():
        time.sleep(0.02)


def main() -> None:
    mode, _, conversation, *arguments = sys.argv[1:]
    if mode == "crash":
        sys.exit("no key was found\nit ends here")
    if mode == "stubborn":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        ignores = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(600)"
        subprocess.Popen([sys.executable, "-c", ignores], start_new_session=True)
    if mode == "held":
        hold()
    Path("arguments.json").write_text(json.dumps(arguments))
    before = termios.tcgetattr(0)
    tty.setraw(0)
    write("\x1b[?2004h")
    try:
        run(Speaker(mode, conversation))
    finally:
        termios.tcsetattr(0, termios.TCSADRAIN, before)


if __name__ == "__main__":
    main()
