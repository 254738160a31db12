"""The values that the parts of agentmesh hand each other. Frozen; nothing here acts. Pure."""

import re
from typing import Annotated, Literal

import msgspec

from agentmesh.core.address import Address
from agentmesh.core.delivery import State

UnixTime = Annotated[int, msgspec.Meta(ge=0, le=253_402_300_799)]
"""Seconds since 1970, to the end of the year 9999: what can be shown as a date."""
MessageId = Annotated[str, msgspec.Meta(pattern=r"\A[0-9a-f]{32}\Z")]
"""Random. It also names files and tmux buffers: no other characters may come off the wire."""
LAST_ORDINAL = 2**53 - 1
"""What every JSON parser and SQLite hold exactly, and no honest epoch or counter comes near."""
Ordinal = Annotated[int, msgspec.Meta(ge=0, le=LAST_ORDINAL)]


class Pane(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One address of a slice and the tmux pane behind it.

    A window has one entry; a split window has one more for each of its panes.
    """

    address: Address
    host: str
    target: str
    """``session:window-index``, or ``session:window-index.pane-index``, as tmux takes it."""
    session: str
    window: str
    pane: str
    """tmux's pane id, ``%12``: unique for the life of its tmux server."""
    server: str
    """The tmux server's socket name (``tmux -L``)."""
    window_key: str
    """Names the window for as long as it lives: server, its start, session and window id."""
    wanted: Address
    """The address this window would have if no other wanted the same."""
    pid: Ordinal
    """The process that tmux started in the pane."""
    command: str = ""
    cwd: str = ""
    program: str = ""
    """The agent program seen in this pane, now or last; empty when there was none."""
    role: str = ""
    scope: str = ""
    handle: str = ""
    """What ``@agent-name`` says: a short name, valid while it is unique in the mesh."""
    formerly: dict[Address, Ordinal] = {}
    """Addresses this window had before, and when it lost each, in Unix seconds."""


class Version(msgspec.Struct, frozen=True, order=True):
    """How new a slice is: totally ordered.

    The epoch rises durably at every start of the agent, the counter at every change; the digest of the content
    breaks ties after a hard kill.
    """

    epoch: Ordinal
    counter: Ordinal
    digest: str


class Slice(msgspec.Struct, frozen=True):
    """The panes of one host, as that host alone writes them."""

    host: str
    version: Version
    time: UnixTime
    """When it was written, Unix seconds by its host's clock. Advisory."""
    panes: tuple[Pane, ...] = ()


class Contacts(msgspec.Struct, frozen=True):
    """The hosts that a host has links to, as that host alone tells. Never written down."""

    host: str
    version: Version
    """Its epoch is that of the host's slice when it was told first, or above all that was heard."""
    links: tuple[str, ...] = ()


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """What a host knows of a peer, as `agentmesh peers` shows it."""

    host: str
    state: str
    since: int
    reason: str
    via: str
    """The peer through which it is reached meanwhile."""
    identity: str
    """``pinned``, ``host key``, ``claimed``; empty when there is no link."""
    pins: list[str]
    """Fingerprints of the keys that are pinned to it here."""
    version: str
    key: str
    """The fingerprint of the key that it says it has."""
    latency: float | None
    """Seconds, as last measured."""


class Message(msgspec.Struct, frozen=True, kw_only=True):
    """Text for one pane."""

    id: MessageId
    """The same message is stored and delivered once."""
    sender: str
    """The name shown to the reader."""
    to: Address
    host: str
    body: str
    sent: UnixTime
    """Unix seconds by the sender's clock; it is shown to the reader."""
    force: bool = False
    dismiss: bool = True
    """Whether a harmless panel that covers the input box may be closed with Escape."""
    expires: UnixTime = 0
    """Until when it may wait for its host and its pane, Unix seconds by the clock of the host that holds it; 0 when it
    is delivered at once or not at all."""


class Origin(msgspec.Struct, frozen=True, omit_defaults=True):
    """Where something came from, and how that is known."""

    host: str = ""
    """The host that sent it; empty for this one."""
    identity: str = ""
    """``pinned``, ``host key`` or ``claimed``: see core/identity.py; ``mqtt``: over a broker of that name."""
    via: str = ""
    """The host that relayed it; empty when it came directly."""


HERE = Origin()
"""This host itself."""


class Drop(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A file that lies on the host of the pane that it is for."""

    path: str
    """There, as a person writes it: with ``~`` for the home."""
    size: Ordinal
    """Bytes."""
    sha256: str
    folder: bool = False
    """Whether it is a tar archive of a folder."""


class Receipt(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How far one message got, and why not further."""

    id: str
    to: Address
    host: str
    state: State
    target: str = ""
    time: UnixTime = 0
    """When it came into this state, Unix seconds by the clock of the host that says so."""
    readiness: str = ""
    """What the pane was found to be when that was last looked at; from ``pasting`` on, what it was when the text was
    about to appear, so that a repair after a crash knows where to look for it."""
    detail: str = ""
    """A sentence for the sender: what was seen and what to do."""
    screen: tuple[str, ...] = ()
    """The pane's last three lines, where the message was refused."""
    note: str = ""
    """Something the sender should know although the message went through: a new name, a body sent as a file."""
    drops: tuple[Drop, ...] = ()
    """The files that were dropped with the message, as its sender's host notes them."""
    via: str = ""
    """The host over which it was heard, as the sender's host notes it; empty when the pane's host said so itself."""


class Letter(msgspec.Struct, frozen=True, omit_defaults=True):
    """A message and how far it got, as the database keeps them."""

    message: Message
    receipt: Receipt
    read: bool = False
    """Whether somebody has marked it as read, in an inbox."""
    origin: Origin = HERE
    """In an inbox: the host that it came from."""


class Profile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is known about a program: how to recognise it, and how its input box looks. Written as TOML."""

    name: str
    title: str
    """The name a person reads."""
    kind: Literal["shell", "repl", "box"]
    """``box`` is a full-screen program with an input box."""
    processes: tuple[str, ...]
    """Names of its process, or of the script that an interpreter runs."""
    box: "Box | None" = None
    session: "SessionProfile | None" = None


class SessionProfile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``[session]``: how a program is started, left and brought back. ``{conversation}`` stands for that one's id."""

    launch: tuple[str, ...]
    """The program and its arguments. Where ``{conversation}`` stands in it, the id is chosen before the start."""
    resume: tuple[str, ...] = ()
    """The same for going on with a conversation; empty: it is started anew."""
    identity: tuple[str, ...] = ()
    """What is submitted in its input box, one after another, when it is ready for the first time, so that it shows who
    it is: ``{name}`` stands for the session's name, ``{color}`` for its role's colour (core/color.py)."""
    exit: str = ""
    """What is submitted in its input box to leave it; empty: it is left by a signal."""
    shared: str = ""
    """A pattern in the command lines of processes that it starts, and that others of its kind use, too: a stop leaves
    them alone, and what they have started."""
    conversations: str = ""
    """A pattern of the files that hold its conversations: ``~`` is the home, ``{cwd}`` the session's folder,
    ``{folder}`` the same with every character but letters and digits made a dash, ``{conversation}`` the id. Empty:
    it keeps none."""
    conversation_id: str = ""
    """Where one of the first lines of such a file, which are JSON, has the id: names of members, joined by dots; empty
    where the file's path has it, and then the file isn't read."""
    conversation_folder: str = ""
    """Where it has the folder, or the SHA-256 of its path in hex."""
    conversation_begun: str = ""
    """Where it has the moment at which the program has begun the conversation (ISO 8601), before it takes input; empty:
    it doesn't tell one."""

    def __post_init__(self) -> None:
        if not self.launch:
            raise ValueError("launch is empty")
        is_told = self.conversation_id and self.conversation_folder
        is_named = "{conversation}" in self.conversations and not self.conversation_id
        if self.conversations and not (is_told or is_named):
            raise ValueError("conversations needs conversation_id and conversation_folder, or {conversation} in it")
        try:
            re.compile(self.shared)
        except re.error as error:
            raise ValueError(f"shared is no pattern: {error}") from error
        if self.resume and not any("{conversation}" in word for word in self.resume):
            raise ValueError("resume must have {conversation} in it")


class Box(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How the input box of a full-screen program looks. Text styles are SGR parameters, as ``38;5;246``."""

    prompt: str
    """The glyphs, any of which stands at the start of the box's first row."""
    prompt_style: str = ""
    """A style that the glyph must have."""
    margin: int = 0
    """Columns left of the glyph."""
    indent: int = 2
    """Columns from the glyph to the text."""
    repeats: bool = False
    """Whether each row of the text begins with the glyph again."""
    rules: Literal["none", "above", "below", "both"] = "none"
    """Where horizontal rules bound the box. Without one below it ends at the first blank row."""
    lead_rows: int = 0
    """How many rows may stand between the rule above and the box."""
    border_rows: tuple[int, int] | None = None
    """For a box whose rows all begin with the glyph, wherever it is centred: how many of them are no text, at its top
    and at its bottom."""
    cursor: Literal["shown", "hidden", "drawn"] = "shown"
    """What the terminal's cursor does while the program takes input: it is shown; it is hidden, but in its place; it
    is hidden and anywhere, and the program draws one as a reversed cell, until a newer version shows it."""
    placeholder: tuple[str, ...] = ()
    """Styles of text that stands in an empty box."""
    placeholder_text: str = ""
    """A pattern of all that such a text says, where its colour is of the user's choice, or the terminal's."""
    always_placeholder: bool = False
    """Whether such text stands in every empty box: one without it isn't known to be empty."""
    footer: str = ""
    """A pattern that some row below the box matches as soon as the program has started."""
    footer_rows: int = 4
    """How many rows may stand below the box."""
    busy_title: str = ""
    """A pattern at the start of the pane's title while the program works."""
    busy_text: tuple[str, ...] = ()
    """Words below or just above the box while the program works, besides those that many programs share."""
    queues: bool = False
    """Whether the program itself keeps what is submitted while it works, for later."""
    blocked_title: str = ""
    """A pattern in the pane's title while the program asks a question."""
    panels: tuple[str, ...] = ()
    """Patterns at the start of the row that follows the lowest rule, where a harmless panel covers the box that Escape
    closes."""
    paste_token: str = ""
    """A pattern of what stands in the box for a long paste. Its group ``lines``, ``breaks`` (lines, less one) or
    ``characters`` tells the length."""
    put_aside: str = ""
    """The key, as tmux names it, that puts a draft aside until the next text is submitted."""
    settle: float = 0.1
    """Seconds that the box must stand unchanged before Enter."""
    longest: int = 600
    """Characters beyond which the program may fold a text into a token. One whose token doesn't tell its length is sent
    as a file."""
    most_lines: int = 2
    """Lines beyond which it may do so."""

    def __post_init__(self) -> None:
        if not self.prompt:
            raise ValueError("prompt is empty")
        for key in ("placeholder_text", "footer", "busy_title", "blocked_title", "paste_token"):
            self._check(key, getattr(self, key))
        for panel in self.panels:
            self._check("panels", panel)

    @staticmethod
    def _check(key: str, pattern: str) -> None:
        try:
            groups = re.compile(pattern).groupindex
        except re.error as error:
            raise ValueError(f"{key} is no pattern: {error}") from error
        unknown = set(groups) - {"lines", "breaks", "characters"}
        if unknown or (key == "paste_token" and pattern and not groups):
            raise ValueError(f"{key} must have one of the groups lines, breaks, characters, and no other")
