"""What `agentmesh doctor --capture` asks for: a pane of this host as every sensor sees it, as before a message."""

from agentmesh.adapters.ipc import Request
from agentmesh.agent.answer import Answer, as_json
from agentmesh.agent.directory import Directory
from agentmesh.agent.scanner import Scanner
from agentmesh.agent.typist import Typist
from agentmesh.core.box import read_box
from agentmesh.core.capture import Capture
from agentmesh.errors import UsageError


class Inspection:
    """Looks at panes, and touches nothing."""

    def __init__(self, alias: str, directory: Directory, scanner: Scanner, typist: Typist) -> None:
        self._alias = alias
        self._directory = directory
        self._scanner = scanner
        self._typist = typist

    async def capture(self, request: Request, answer: Answer) -> int:
        """Answer all that is seen of one pane. Raises UsageError, UnknownAddress, PaneGone, TmuxFailed."""
        found = await self._directory.find(" ".join(request.words[1:]), await self._directory.caller(request))
        (pane, *more) = (match.pane for match in found)
        if more or pane.host != self._alias:
            reason = "Name one pane." if more else f"{pane.address} is on {pane.host}; run this there."
            raise UsageError(reason=reason, program="agentmesh doctor")
        sight = await self._typist.look(self._scanner.server(pane.server), pane)
        profile = sight.profile
        box = read_box(sight.facts, profile) if profile and profile.box else None
        name = profile.name if profile else ""
        await answer.write_output(as_json(Capture(pane.address, sight.facts, sight.tty, name, box, sight.readiness)))
        return 0
