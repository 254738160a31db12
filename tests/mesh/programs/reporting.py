"""Ask the agent what `agentmesh job …` asks, without a process for each: many at once, and quicker.

python reporting.py claim JOB NAME…     claim in each of these names at once, when a line is read; print the outcomes
"""

import json
import socket
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

DOWN, CUT = "down", "cut"
"""What became of a command that got no answer: it had no agent to ask, or lost it before the answer."""


def ask(name: str, *words: str) -> tuple[str, str]:
    """Return the exit code that the agent gives somebody's command, or why there is none, and its output."""
    output = b""
    with closing(socket.socket(socket.AF_UNIX)) as agent:
        try:
            agent.connect(str(Path.home() / ".agents" / "agent.sock"))
        except OSError:
            return DOWN, ""
        body = "\0".join([str(Path.home()), f"AGENT_NAME={name}", "", *words]).encode()
        try:
            agent.sendall(b"AMC1" + len(body).to_bytes(4, "big") + body)
            with agent.makefile("rb") as answer:
                while head := answer.read(5):
                    data = answer.read(int.from_bytes(head[1:], "big"))
                    if head[:1] == b"x":
                        return data.decode(), output.decode()
                    output += data
        except OSError:
            pass
    return CUT, output.decode()


def report(name: str, job: str, kind: str, **content: object) -> tuple[str, str]:
    """Report on a job, or claim it; returns the command's outcome."""
    return ask(name, "job", "report", json.dumps({"job": job, "type": kind, "content": content}))


def main() -> None:
    """Claim a job in several names at once."""
    _, job, *names = sys.argv[1:]
    sys.stdin.readline()
    with ThreadPoolExecutor(len(names)) as threads:
        outcomes = threads.map(lambda name: report(name, job, "claimed"), names)
        json.dump({name: code for name, (code, _) in zip(names, outcomes, strict=True)}, sys.stdout)


if __name__ == "__main__":
    main()
