"""Run many agents, each a process forked off this one, which has imported all they need. Ends them when its input ends.

Arguments: the hosts' folders, each with a home `.agents`. Run inside the namespace that has their addresses.
"""

import asyncio
import gc
import os
import signal
import sys
import time
import traceback
from pathlib import Path

from agentmesh.agent import app
from agentmesh.config import Paths

PACE_SECONDS = 0.3
"""Between two: starting takes a core about as long."""
LONGEST_PAUSE_SECONDS = 10.0
"""Between two, while others have to wait for a core: what all do at once on few cores only times out."""


def main() -> None:
    """Fork the agents, and end them."""
    gc.freeze()
    agents = []
    for home in sys.argv[1:]:
        agents.append(_fork(Path(home)))
        deadline = time.monotonic() + LONGEST_PAUSE_SECONDS
        time.sleep(PACE_SECONDS)
        while _waiting() > 0 and time.monotonic() < deadline:
            time.sleep(PACE_SECONDS / 3)
    sys.stdin.read()
    for pid in agents:
        os.kill(pid, signal.SIGTERM)
    for pid in agents:
        os.waitpid(pid, 0)


def _waiting() -> int:
    """Return how many threads on this machine wait for a core (proc(5): loadavg), this one aside."""
    running = int(Path("/proc/loadavg").read_text().split()[3].partition("/")[0])
    return running - 1 - (os.cpu_count() or 1)


def _fork(home: Path) -> int:
    pid = os.fork()
    if pid:
        return pid
    try:
        os.environ.update(AGENTMESH_HOME=str(home / ".agents"), TMUX_TMPDIR=str(home))
        said = os.open(home / "agent.out", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(said, 1)
        os.dup2(said, 2)
        asyncio.run(app.run(Paths.from_environment()))
    except BaseException:  # noqa: BLE001 (a forked process must not go on as its parent)
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(0)


if __name__ == "__main__":
    main()
