"""Have a session's program show who it is, by its own commands."""

import asyncio
import time

from agentmesh.agent.session_eyes import SessionEyes
from agentmesh.agent.turns import Turns, queue_name
from agentmesh.agent.typist import Typist
from agentmesh.core.agent_session import AgentSession
from agentmesh.core.color import color_of
from agentmesh.core.delivery import State
from agentmesh.core.model import Receipt
from agentmesh.errors import AgentmeshError

PATIENCE_SECONDS = 10.0
"""How long a program may keep one from its input box: some still draw after they were seen to be ready."""
_LOOK_SECONDS = 0.1


class SessionIdentity:
    """Submits each command as a message is: seen in the box, and seen taken."""

    def __init__(self, eyes: SessionEyes, turns: Turns, typist: Typist) -> None:
        self._eyes = eyes
        self._turns = turns
        self._typist = typist

    async def introduce(self, session: AgentSession) -> str:
        """Submit the commands, in order; return what is to be said where one isn't taken, and then none follows."""
        values = {"{name}": session.name, "{color}": role_color(session)}
        for template in self._eyes.profile(session.program)[1].identity:
            command = template
            for name, value in values.items():
                command = command.replace(name, value)
            try:
                receipt = await self._submit(session, command)
            except AgentmeshError as error:
                return f"{command} was not given to {session.name}: {error}"
            if receipt.state is not State.SUBMITTED:
                why = (receipt.detail or receipt.readiness).rstrip(".")
                return f"{session.name} is ready, but {command} is {receipt.state}: {why}. Look before you repeat it."
        return ""

    async def _submit(self, session: AgentSession, command: str) -> Receipt:
        """Submit one; it is tried again only where nothing of it was typed. Raises PaneGone, TmuxFailed."""
        until = time.monotonic() + PATIENCE_SECONDS
        pane, server = self._eyes.pane(session), self._eyes.server(session)
        while True:
            async with self._turns.alone(queue_name(pane)):
                receipt = await self._typist.command(command, server, pane)
            if receipt.state is not State.REFUSED or time.monotonic() > until:
                return receipt
            await asyncio.sleep(_LOOK_SECONDS)


def role_color(session: AgentSession) -> str:
    """Return the colour that a session is shown in: that of its role, or of its program where it has none."""
    return color_of(session.role or session.program)
