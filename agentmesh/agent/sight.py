"""See a pane with all sensors: tmux, the kernel, and what is known about programs."""

from collections.abc import Mapping

import msgspec

from agentmesh.adapters import tty
from agentmesh.adapters.tmux import TmuxServer
from agentmesh.core.model import Pane, Profile
from agentmesh.core.readiness import Readiness, TtyFacts, assess
from agentmesh.core.screen import PaneFacts


class Sight(msgspec.Struct, frozen=True):
    """A pane as all sensors saw it at one moment."""

    facts: PaneFacts
    tty: TtyFacts | None
    profile: Profile | None
    readiness: Readiness


class Eyes:
    """Looks at this host's panes; types nothing."""

    def __init__(self, profiles: Mapping[str, Profile]) -> None:
        self._profiles = profiles
        self._by_process = {name: profile for profile in profiles.values() for name in profile.processes}

    async def look(self, server: TmuxServer, pane: Pane, *, history: int = 0, unattended: bool = False) -> Sight:
        """Ask tmux and the kernel what a pane is; ``unattended``: as if no person were at its keyboard.

        Raises PaneGone, TmuxFailed.
        """
        facts = await server.look(pane.pane, history)
        return self.judge(msgspec.structs.replace(facts, typed=0) if unattended else facts, pane)

    def judge(self, facts: PaneFacts, pane: Pane) -> Sight:
        """Say what a pane is whose facts tmux has just told."""
        if facts.pid != pane.pid and not facts.dead:
            return Sight(facts, None, None, Readiness.REPLACED)
        terminal = None if facts.dead else tty.observe(facts, self._profiles)
        known = [self._by_process[name] for name in (terminal.programs if terminal else ()) if name in self._by_process]
        profile = next((profile for profile in known if profile.kind == "box"), known[0] if known else None)
        return Sight(facts, terminal, profile, assess(facts, terminal, profile, pane.program))
