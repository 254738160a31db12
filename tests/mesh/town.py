"""Two hosts that stand attacks in the name of a third, and what these attacks are made of."""

import re
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from agentmesh.core.delivery import State
from agentmesh.core.model import Slice, Version
from agentmesh.core.wire import Deliver, Hello, Offer, SliceNews, encode
from tests.core.examples import NOW, a_message, a_pane, a_slice
from tests.eventually import eventually
from tests.mesh.hostile import NAME
from tests.mesh.local import LocalHost

HELLO = encode(Hello(host=NAME, version="0"))
DROP = encode(Hello(host=NAME, version="0", channel="drop"))
OFFER = Offer(sender=f"{NAME}-dev-x", name="gift", size=2000, sha256="0" * 64)


def deliveries(to: str, count: int, patience: int = 0, body: str = "flood") -> Iterator[bytes]:
    for _ in range(count):
        yield encode(Deliver(a_message(id=uuid.uuid4().hex, to=to, host="left", body=body), patience))


def newer_slices(count: int, **changes: object) -> Iterator[bytes]:
    for number in range(count):
        part = Slice(NAME, Version(7, number, ""), NOW, (a_pane(f"{NAME}-dev-x", host=NAME, **changes),))
        yield encode(SliceNews(part))


FOREIGN = [
    a_slice(a_pane("stranger-dev-x", host="stranger"), host="stranger", epoch=9),
    a_slice(a_pane("right-dev-x", host="right"), host=NAME, epoch=9),
    a_slice(a_pane("right-dev-x", host=NAME), host=NAME, epoch=9),
    a_slice(a_pane(f"{NAME}-x", host=NAME, formerly={"right-dev-first": NOW}), host=NAME, epoch=9),
    a_slice(a_pane(f"{NAME}-x", host=NAME, window="\x1b]0;owned\x07"), host=NAME, epoch=9),
]
MEMORY = 150
"""MiB that an attack may add: far less than what is sent, or asked to be kept."""


class Town:
    """Two hosts that are friends, and whose peers.conf has a third: the attacks come in its name."""

    def __init__(self, left: LocalHost, right: LocalHost) -> None:
        self.left, self.right = left, right

    @contextmanager
    def besieged(self) -> Iterator[None]:
        """See that the agent stands an attack: its memory, its log, and what a friend sends during it and after it."""
        pid, before = self.left.status().pid, self._memory("VmRSS")
        log = len(self.left.log)
        Path(f"/proc/{pid}/clear_refs").write_text("5")  # proc(5): the peak is measured anew
        yield
        self.friend_is_served()
        assert self.left.status().pid == pid
        assert self._memory("VmHWM") - before < MEMORY, f"MiB before: {before}"
        assert "Traceback" not in self.left.log
        assert len(self.left.log) - log < 300_000, self.left.log[log : log + 5000]

    def friend_is_served(self) -> None:
        """See that a message from the other host is delivered, and a change here known there."""
        assert self.right.receipt("left-dev-first", "still there?").state is State.SUBMITTED
        name = f"w{uuid.uuid4().hex[:8]}"
        self.left.tmux.run("rename-window", "-t", "dev:1", name)
        eventually(lambda: f"left-dev-{name}" in self.right.addresses(), "a change is known", lambda: self.left.log)

    def said(self, words: str) -> None:
        """Wait until the agent's log says so."""
        eventually(lambda: re.search(words, self.left.log), f"the log says {words}", lambda: self.left.log[-3000:])

    def _memory(self, name: str) -> int:
        status = Path(f"/proc/{self.left.status().pid}/status").read_text()
        found = re.search(rf"{name}:\s+(\d+) kB", status)
        assert found is not None
        return int(found[1]) // 1024
