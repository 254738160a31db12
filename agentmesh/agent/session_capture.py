"""What a session's pane shows and has shown, as far as tmux has kept it."""

from agentmesh.agent.session_book import SessionBook
from agentmesh.agent.session_eyes import SessionEyes
from agentmesh.core.agent_session import Status
from agentmesh.core.session_request import Snapshot
from agentmesh.errors import SessionState

_FORMAT = "#{history_size} #{history_limit} #{alternate_on}"
_TRIMMED = 0.9
"""tmux drops a tenth of a history that is full (grid.c, grid_collect_history)."""


class SessionCapture:
    """Reads panes, and touches nothing."""

    def __init__(self, book: SessionBook, eyes: SessionEyes) -> None:
        self._book = book
        self._eyes = eyes

    async def snapshot(self, name: str, count: int) -> Snapshot:
        """Return the last lines of a pane, so many at most; 0: all. Raises UnknownSession, SessionState, PaneGone."""
        session = await self._book.find(name)
        if session.status is not Status.RUNNING:
            remedy = "Only a pane that is there can be captured"
            raise SessionState(name=name, status=session.status, remedy=remedy)
        server = self._eyes.server(session)
        told, *lines = await server.execute(
            *("display-message", "-p", "-t", session.pane, _FORMAT, ";"),
            *("capture-pane", "-p", "-t", session.pane, "-S", "-"),
        )
        size, limit, alternate = map(int, told.split())
        while lines and not lines[-1].strip():
            lines.pop()
        return Snapshot(
            lines=tuple(lines[-count:] if count else lines),
            kept=len(lines),
            limit=limit,
            may_lack=size >= limit * _TRIMMED,
            is_full_screen=bool(alternate),
        )
