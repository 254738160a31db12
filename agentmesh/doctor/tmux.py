"""Check tmux: its version, whether our hooks are loaded into the servers that run, whether the agent sees them all."""

import re
import shutil
import subprocess
from collections.abc import AsyncIterator, Sequence

from agentmesh.adapters.tmux import TmuxServer, find_sockets, hooks_in, socket_folder
from agentmesh.config import Paths, hooks_file
from agentmesh.core.finding import Finding, broken, ok, warning
from agentmesh.core.status import Status
from agentmesh.errors import TmuxFailed

OLDEST = (3, 2)
_PATIENCE = 3.0


def check_version() -> Finding:
    """See that tmux is there, and new enough."""
    program = shutil.which("tmux")
    if program is None:
        return broken("tmux", "there is no tmux on PATH", "install it: sudo apt install tmux, or brew install tmux")
    try:
        done = subprocess.run([program, "-V"], capture_output=True, text=True, timeout=_PATIENCE, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        return broken("tmux", f"{program} doesn't run: {error}", "install it again")
    version = done.stdout.strip().removeprefix("tmux ")
    found = re.search(r"(\d+)\.(\d+)", version)
    if found and (int(found[1]), int(found[2])) < OLDEST:
        return broken("tmux", f"{version}, at {program}", "install tmux 3.2 or newer; then end the old server")
    return ok("tmux", version)


async def check_hooks(servers: Sequence[str], paths: Paths) -> list[Finding]:
    """See that every server that runs tells of its windows at once."""
    found = []
    async for server in _running(servers, paths):
        try:
            missing = hooks_in(hooks_file()) - (await server.scan()).hooks
        except TmuxFailed as error:
            remedy = f"see whether this answers: tmux -S {server.path} list-sessions"
            found.append(broken(f"hooks in {server.name}", str(error), remedy))
            continue
        if missing > 0:
            seen = f"{missing} of our hooks are not loaded: changes are noticed late"
            found.append(broken(f"hooks in {server.name}", seen, "agentmesh doctor --fix"))
        else:
            found.append(ok(f"hooks in {server.name}", "loaded"))
    return found or [ok("hooks", f"no tmux server runs in {socket_folder()}")]


async def load_hooks(servers: Sequence[str], paths: Paths) -> str:
    """Load our hooks into every server that lacks one. Returns what was done. Raises TmuxFailed."""
    loaded = []
    async for server in _running(servers, paths):
        if (await server.scan()).hooks < hooks_in(hooks_file()):
            await server.load_hooks(hooks_file(), paths.home)
            loaded.append(server.name)
    return f"loaded the hooks into {', '.join(loaded) or 'no server'}"


def check_folder(status: Status) -> Finding:
    """See that the agent looks for tmux servers where this shell starts them."""
    here = str(socket_folder())
    if status.tmux_folder != here:
        seen = f"the agent looks for servers in {status.tmux_folder}, this shell starts them in {here}"
        return warning("TMUX_TMPDIR", seen, "from the shell that is right: agentmesh stop; agentmesh install")
    return ok("TMUX_TMPDIR", f"the agent and this shell have tmux's sockets in {here}")


async def _running(servers: Sequence[str], paths: Paths) -> AsyncIterator[TmuxServer]:
    for path in find_sockets(servers):
        server = TmuxServer(path, paths.buffers)
        try:
            if server.runs():
                yield server
        finally:
            server.close()
