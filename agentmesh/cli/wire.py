"""agentmesh wire: join a peer at our standard streams to this host's agent; with none running, serve it here."""

from agentmesh.adapters.bridge import join_standard_streams
from agentmesh.notify import connect


def serve(pinned: str) -> int:
    """Hold one conversation to its end; returns the exit code. ``pinned`` names whose key the caller has, if known."""
    connection = connect()
    if connection is None:
        from agentmesh.agent.alone import serve_peer  # noqa: PLC0415 (slow, and only needed here)
        from agentmesh.config import Paths  # noqa: PLC0415 (as above)

        return serve_peer(Paths.from_environment(), pinned)
    join_standard_streams(connection, pinned)
    return 0
