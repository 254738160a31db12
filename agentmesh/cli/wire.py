"""agentmesh wire: join a peer at our standard streams to this host's agent; with none running, serve it here."""

from agentmesh.adapters.bridge import join_standard_streams
from agentmesh.config import Paths
from agentmesh.errors import NoAgent


def serve() -> int:
    """Hold one conversation to its end; returns the exit code."""
    paths = Paths.from_environment()
    try:
        join_standard_streams(paths.socket)
    except NoAgent:
        from agentmesh.agent.alone import serve_peer  # noqa: PLC0415 (slow, and only needed here)

        return serve_peer(paths)
    return 0
