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


def main() -> None:
    """Fork the agents, and end them."""
    gc.freeze()
    agents = []
    for home in sys.argv[1:]:
        agents.append(_fork(Path(home)))
        time.sleep(PACE_SECONDS)
    sys.stdin.read()
    for pid in agents:
        os.kill(pid, signal.SIGTERM)
    for pid in agents:
        os.waitpid(pid, 0)


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
