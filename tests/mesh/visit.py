"""A visit to a real agent: the caller's half of a transcript is played, and what the agent says is waited for."""

import time
from typing import TYPE_CHECKING

from agentmesh.core.model import Message, Receipt
from agentmesh.core.wire import (
    Bye,
    Decoder,
    Deliver,
    Dropped,
    Frame,
    Hello,
    JobRequest,
    Ready,
    ReceiptNews,
    Report,
    SliceNews,
)
from tests.core.transcript import ANSWERER, CALLER, Piece
from tests.eventually import PATIENCE
from tests.mesh.hostile import Stranger
from tests.mesh.local import LocalHost

if TYPE_CHECKING:
    import subprocess


def keeper(host: LocalHost) -> LocalHost:
    """Start the agent that is visited; its only peer is the caller, which it can't dial."""
    assert host.name == ANSWERER
    (host.agents / "peers.conf").write_text(f"{CALLER}\n")
    (host.home / ".ssh").mkdir(mode=0o700)
    (host.home / ".ssh" / "config").write_text(f"Host {CALLER}\n  HostName 127.0.0.1\n  Port 1\n")
    host.start()
    return host


class Visit:
    """Conversations with an agent, by name; each is begun by the first bytes that are said in it."""

    def __init__(self, host: LocalHost) -> None:
        self._host = host
        self._conversations: dict[str, Stranger] = {}
        self._unmatched: dict[str, list[Frame]] = {}
        self._commands: list[subprocess.Popen[bytes]] = []
        self._ids: dict[bytes, bytes] = {}

    def play(self, piece: Piece) -> None:
        """Say what the caller said, run what was run; or wait until the agent says what it said."""
        if piece.conversation == "command":
            self._commands.append(self._host.popen(*piece.text.split(" ")))
        elif piece.by == CALLER:
            self.say(piece.conversation, piece.data)
        else:
            for frame in Decoder().feed(piece.data):
                self._await(piece.conversation, frame)

    def say(self, conversation: str, data: bytes) -> None:
        """Say something, with the ids that the agent has given this time."""
        for then, now in self._ids.items():
            data = data.replace(then, now)
        if conversation in self._conversations:
            self._conversations[conversation].say(data)
        else:
            self._conversations[conversation] = Stranger(self._host, data)
            self._unmatched[conversation] = []

    def hear(self, conversation: str) -> Frame | None:
        """Return the agent's next frame."""
        return self._conversations[conversation].hear()

    def end(self) -> None:
        """End the conversations; see that the commands that were run ended well."""
        for stranger in self._conversations.values():
            stranger.socket.close()
        for command in self._commands:
            assert command.wait(PATIENCE) == 0, self._host.log

    def _await(self, conversation: str, wanted: Frame) -> None:
        """Wait for a frame that means what another meant; those that mean more come beside it, in any order."""
        unmatched, deadline = self._unmatched[conversation], time.monotonic() + PATIENCE
        while True:
            for frame in unmatched:
                if _means(frame) == _means(wanted):
                    unmatched.remove(frame)
                    self._ids.update(zip(_ids(wanted), _ids(frame), strict=True))
                    return
            heard = self.hear(conversation) if time.monotonic() < deadline else None
            assert heard is not None, f"it never said {wanted}, but {unmatched}"
            unmatched.append(heard)


def _ids(frame: Frame) -> list[bytes]:
    """Return what the agent has made up in a frame, and the caller repeats."""
    match frame:
        case Deliver(message):
            return [message.id.encode()]
        case JobRequest(ticket):
            return [ticket.encode()]
        case Report(event):
            return [str(event.seq).encode()]
        case _:
            return []


def _means(frame: Frame) -> object:
    """Return what is the same in each version."""
    match frame:
        case Hello(host=host):
            return Hello, host
        case SliceNews(part):
            return SliceNews, part.host, [(pane.address, pane.window, pane.role) for pane in part.panes]
        case ReceiptNews(Receipt(id=identifier, state=state)):
            return ReceiptNews, identifier, state
        case Deliver(Message(to=to, body=body, sender=sender)):
            return Deliver, to, body, sender
        case Ready(offset):
            return Ready, offset
        case Dropped(path):
            return Dropped, path
        case Bye():
            return (Bye,)
        case _:
            return type(frame)
