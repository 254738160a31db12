"""agentmesh wire: join a peer at our standard streams to this host's agent; with none running, serve it here."""

from agentmesh.adapters.bridge import join_standard_streams
from agentmesh.notify import connect


def serve() -> int:
    """Hold one conversation to its end; returns the exit code."""
    connection = connect()
    if connection is None:
        from agentmesh.agent.alone import serve_peer  # noqa: PLC0415 (slow, and only needed here)
        from agentmesh.config import Paths  # noqa: PLC0415 (as above)

        return serve_peer(Paths.from_environment())
    join_standard_streams(connection)
    return 0
