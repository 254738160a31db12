"""Ask the agent what `agentmesh job …` asks, without a process for each: many at once, and quicker.

python reporting.py claim JOB NAME…     claim in each of these names at once, when a line is read; print the outcomes
"""

import json
import socket
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

DOWN, CUT = "down", "cut"
"""What became of a command that got no answer: it had no agent to ask, or lost it before the answer."""


class Told(NamedTuple):
    """What came of a command."""

    code: str
    """Its exit code, or why there is none."""
    output: str = ""
    error: str = ""


def ask(name: str, *words: str) -> Told:
    """Have the agent do what somebody's command asks."""
    output, error = b"", b""
    with closing(socket.socket(socket.AF_UNIX)) as agent:
        try:
            agent.connect(str(Path.home() / ".agents" / "agent.sock"))
        except OSError:
            return Told(DOWN)
        body = "\0".join([str(Path.home()), f"AGENT_NAME={name}", "", *words]).encode()
        try:
            agent.sendall(b"AMC1" + len(body).to_bytes(4, "big") + body)
            with agent.makefile("rb") as answer:
                while head := answer.read(5):
                    data = answer.read(int.from_bytes(head[1:], "big"))
                    match head[:1]:
                        case b"x":
                            return Told(data.decode(), output.decode(), error.decode())
                        case b"o":
                            output += data
                        case _:
                            error += data
        except OSError:
            pass
    return Told(CUT, output.decode(), error.decode())


def report(name: str, job: str, kind: str, **content: object) -> Told:
    """Report on a job, or claim it; returns the command's outcome."""
    return ask(name, "job", "report", json.dumps({"job": job, "type": kind, "content": content}))


def main() -> None:
    """Claim a job in several names at once."""
    _, job, *names = sys.argv[1:]
    sys.stdin.readline()
    with ThreadPoolExecutor(len(names)) as threads:
        outcomes = threads.map(lambda name: report(name, job, "claimed"), names)
        json.dump({name: told.code for name, told in zip(names, outcomes, strict=True)}, sys.stdout)


if __name__ == "__main__":
    main()
