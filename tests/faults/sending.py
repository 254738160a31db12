"""Send numbered messages with ``notify-pane --queue``, one after the other, and write down what the command said.

Speaks to the agent's socket as notify-pane does, which is quicker than a process for each. While no agent runs, some
are sent by notify-pane itself.
"""

import os
import random
import socket
import subprocess
import sys
import time
from collections import Counter
from contextlib import closing
from pathlib import Path

AGENT_DOWN, CUT = "down", "cut"
"""What became of a command that got no answer: it had no agent to ask, or lost it before the answer."""
_ALONE = 0.1
"""How often notify-pane is run when there is no agent."""
_RETRIED = {"2", AGENT_DOWN}
"""Outcomes of a message that surely was not accepted: an unknown address, no agent."""


def ask(words: list[str]) -> str:
    """Return the exit code that the agent gives a command, or why there is none."""
    with closing(socket.socket(socket.AF_UNIX)) as agent:
        try:
            agent.connect(str(Path.home() / ".agents" / "agent.sock"))
        except OSError:
            return AGENT_DOWN
        body = "\0".join([str(Path.home()), f"AGENT_NAME={os.environ['AGENT_NAME']}", "", *words]).encode()
        try:
            agent.sendall(b"AMC1" + len(body).to_bytes(4, "big") + body)
            with agent.makefile("rb") as answer:
                while head := answer.read(5):
                    data = answer.read(int.from_bytes(head[1:], "big"))
                    if head[:1] == b"x":
                        return data.decode()
        except OSError:
            pass
    return CUT


def send(target: str, body: str, chance: random.Random) -> str:
    """Send one message; returns the command's outcome."""
    words = ["notify-pane", target, "--queue", body]
    outcome = ask(words)
    if outcome == AGENT_DOWN and chance.random() < _ALONE:
        return str(subprocess.run(words, capture_output=True, check=False).returncode)
    return outcome


def main() -> None:
    """Send: name, seed, how many, seconds between two, the journal's path, and the addresses."""
    name, seed, count, pause, journal, *targets = sys.argv[1:]
    chance, numbers = random.Random(f"{seed} {name}"), Counter[str]()
    with Path(journal).open("a") as file:
        for _ in range(int(count)):
            target = chance.choice(targets)
            numbers[target] += 1
            body = f"{name} {target} {numbers[target]}"
            while (outcome := send(target, body, chance)) in _RETRIED:
                time.sleep(0.05)
            file.write(f"{outcome} {body}\n")
            file.flush()
            time.sleep(float(pause))


if __name__ == "__main__":
    main()
