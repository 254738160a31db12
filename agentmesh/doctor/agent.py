"""Check the agent: whether it runs, answers, and is of this version; whether a crash has left its socket."""

import asyncio

import msgspec

from agentmesh import __version__
from agentmesh.adapters import ipc
from agentmesh.adapters.files import shown_path
from agentmesh.config import Paths
from agentmesh.core.finding import Finding, broken, ok, warning
from agentmesh.core.status import Status
from agentmesh.errors import AgentmeshError, NoAgent

ANSWER_SECONDS = 3.0
RESTART = "agentmesh stop; agentmesh install"


class Silent(msgspec.Struct, frozen=True):
    """There is something at the socket, but no status comes from it."""

    reason: str


async def ask_status(paths: Paths) -> Status | Silent | None:
    """Return what the agent says of itself; None when none runs."""
    try:
        async with asyncio.timeout(ANSWER_SECONDS):
            return msgspec.json.decode(await ipc.ask(paths.socket, "status"), type=Status)
    except NoAgent:
        return None
    except TimeoutError:
        return Silent(f"it has not answered for {ANSWER_SECONDS:g} s")
    except msgspec.ValidationError:
        return Silent("it is of another version")
    except (AgentmeshError, OSError) as error:
        return Silent(str(error))


def check_agent(answer: Status | Silent | None, paths: Paths) -> Finding:
    """See that the agent runs, answers, and is of the version that this command is of."""
    match answer:
        case None:
            return broken("agent", "none runs", "agentmesh install, or in a window of its own: agentmesh run")
        case Silent(reason):
            return broken("agent", reason, f"end it (see `fuser {shown_path(paths.lock)}`), then: agentmesh install")
        case Status():
            if answer.version != __version__:
                seen = f"version {answer.version} runs, this command is of {__version__}"
                return broken("agent", seen, RESTART)
            return ok("agent", f"agentmesh {answer.version} runs, pid {answer.pid}")


def check_socket(answer: Status | Silent | None, paths: Paths) -> Finding:
    """See that no socket is left of an agent that has crashed."""
    shown = shown_path(paths.socket)
    if answer is None and paths.socket.exists():
        return warning("socket", f"{shown} was left by an agent that is gone", f"rm {shown}")
    return ok("socket", shown if answer else "none, as no agent runs")


def remove_socket(paths: Paths) -> str:
    """Remove a socket that nobody listens at. Returns what was done."""
    paths.socket.unlink(missing_ok=True)
    return f"removed {shown_path(paths.socket)}, which was left by an agent that is gone"
