"""What commands ask of the agent about sessions, and what it tells. Pure."""

from enum import StrEnum

import msgspec

from agentmesh.core.agent_session import AgentSession, SessionName
from agentmesh.core.drift import Drift
from agentmesh.core.workspace import WorkspaceName


class Layout(StrEnum):
    """How a split window is laid out: its first pane is the main one (tmux(1), WINDOWS AND PANES)."""

    MAIN_VERTICAL = "main-vertical"
    """It is on the left, the others are below each other on the right."""
    MAIN_HORIZONTAL = "main-horizontal"
    """It is above, the others are beside each other below."""


class Creation(msgspec.Struct, frozen=True, kw_only=True):
    """A session that is to be started."""

    name: SessionName
    program: str
    cwd: str
    """An absolute path."""
    path: str
    """Where programs are looked for: the command's own ``PATH``."""
    shell: str = ""
    """The person's shell: what the program ``shell`` means."""
    role: str = ""
    scope: str = ""
    prompt: str = ""
    """Its first message."""
    window: str = ""
    """The tmux session that gets a window; empty for a session of its own."""
    split: str = ""
    """The address beside which a pane is opened."""
    layout: Layout | None = None
    """Of the window that is split; None: as it was laid out before."""
    workspace: WorkspaceName = ""
    """The workspace that it is kept in; empty: that of the pane it is asked from, or beside, if there is one."""
    arguments: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.window and self.split:
            raise ValueError("a session has a window or a split, not both")
        if self.layout and not self.split:
            raise ValueError("only a split has a layout")


class Ending(msgspec.Struct, frozen=True, kw_only=True):
    """A session that is to be stopped."""

    name: str
    force: bool = False
    """Whether a draft, or work that goes on, may be lost."""


class Return(msgspec.Struct, frozen=True, kw_only=True):
    """A session that is to be brought back."""

    name: str
    path: str


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """The tmux server that a session of its own is opened in."""

    socket: str
    runs: bool


class SessionSight(msgspec.Struct, frozen=True, kw_only=True):
    """A session's record, and how it is just now."""

    session: AgentSession
    address: str = ""
    """Its pane's; empty while it has none."""
    readiness: str = ""
    """What its pane is found to be; empty where there is none."""
    alive: bool = False
    """Whether the process that was started is there: by its number, and by when it began."""
    is_same_command: bool = True
    """Whether that process still is what was started; a wrapper may have become another."""
    is_resumable: bool = False
    lifecycle: str = ""
    """How far its worker is."""


class HostSessions(msgspec.Struct, frozen=True, kw_only=True):
    """The sessions of one host that aren't archived."""

    host: str
    sessions: tuple[SessionSight, ...] = ()
    reason: str = ""
    """Why it can't be asked; empty where it can."""


class Overview(msgspec.Struct, frozen=True):
    """The sessions of several hosts."""

    hosts: tuple[HostSessions, ...]


class Purge(msgspec.Struct, frozen=True, kw_only=True):
    """The files of a session's conversation, as they were shown before they are removed."""

    name: str
    conversation: str = ""
    paths: tuple[str, ...] = ()


class NewsRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A question for the drifts that were put right since the last one."""

    run: str = ""
    """The agent's run that answered the last one; empty for the first question."""
    beyond: int = 0
    """How many drifts of that run are known."""
    patience: int = 0
    """Seconds that the answer may wait for one."""


class News(msgspec.Struct, frozen=True, kw_only=True):
    """What was put right."""

    run: str
    beyond: int
    """How many of this run are known now."""
    running: int
    """How many sessions are recorded as running."""
    drifts: tuple[Drift, ...] = ()


class Snapshot(msgspec.Struct, frozen=True, kw_only=True):
    """The last lines of a pane's history and screen."""

    lines: tuple[str, ...]
    kept: int
    """How many lines tmux has of it."""
    limit: int
    """How many lines of history tmux keeps of it."""
    may_lack: bool
    """Whether older ones may have been dropped."""
    is_full_screen: bool
    """Whether the program draws on a screen that has no history."""
