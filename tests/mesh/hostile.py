"""A peer that says whatever a test wants: raw bytes, at an agent's own socket."""

import json
import socket
import threading
from collections.abc import Iterable
from contextlib import suppress
from types import TracebackType
from typing import Self

from agentmesh.core.wire import Decoder, Frame, Hello, encode
from agentmesh.errors import ProtocolError
from tests.eventually import PATIENCE, eventually
from tests.fuzz.decoder import framed
from tests.mesh.local import LocalHost

NAME = "mallory"
READ_SIZE = 256 * 1024


def raw(kind: int, body: object) -> bytes:
    """Return a frame whose body is JSON, whatever it is."""
    return framed(kind, json.dumps(body).encode())


class Stranger:
    """One conversation with an agent. Blocking; each read and each write has a deadline."""

    def __init__(self, host: LocalHost, hello: bytes | None = None, name: str = NAME) -> None:
        """Connect, and greet: as ``name``, or with other bytes."""
        self._decoder = Decoder()
        self._frames: list[Frame] = []
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(PATIENCE)
        eventually(lambda: self._connects(host), "the agent takes the connection")
        self.say(encode(Hello(host=name, version="0")) if hello is None else hello)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.socket.close()

    def _connects(self, host: LocalHost) -> bool:
        try:
            self.socket.connect(str(host.agents / "agent.sock"))
        except BlockingIOError:  # unix(7): as many as may wait do so
            return False
        return True

    def say(self, *data: bytes) -> None:
        """Send bytes."""
        self.socket.sendall(b"".join(data))

    def end(self) -> None:
        """Say that nothing more comes, and wait until the agent goes, too."""
        self.socket.shutdown(socket.SHUT_WR)
        while self.hear() is not None:
            pass

    def hear(self) -> Frame | None:
        """Return the agent's next frame, or None at the end."""
        while not self._frames:
            try:
                data = self.socket.recv(READ_SIZE)
            except ConnectionResetError:
                return None
            if not data:
                return None
            self._frames = self._decoder.feed(data)
        return self._frames.pop(0)

    def hear_of(self, *kinds: type[Frame]) -> Frame | None:
        """Return the agent's next frame of one of these kinds, or None at the end."""
        while (frame := self.hear()) is not None and not isinstance(frame, kinds):
            pass
        return frame


class Flood(threading.Thread):
    """Sends frames one after another, as fast as the agent takes them; what the agent says is read, or left."""

    def __init__(self, stranger: Stranger, frames: Iterable[bytes], *, reads: bool = True) -> None:
        super().__init__(name="flood", daemon=True)
        self._stranger = stranger
        self._frames = frames
        self._reads = reads
        self.sent = 0
        """Bytes."""
        self.heard: list[Frame] = []
        self.cut = False

    def run(self) -> None:
        reading = threading.Thread(target=self._read, daemon=True)
        if self._reads:
            reading.start()
        batch = bytearray()
        try:
            for frame in self._frames:
                batch += frame
                if len(batch) > READ_SIZE:
                    self._say(batch)
            self._say(batch)
        except (OSError, ValueError):
            self.cut = True  # by the agent, or the test is over

    def _say(self, batch: bytearray) -> None:
        self._stranger.say(bytes(batch))
        self.sent += len(batch)
        batch.clear()

    def _read(self) -> None:
        with suppress(OSError, ProtocolError):
            while (frame := self._stranger.hear()) is not None:
                self.heard.append(frame)


class Drip(threading.Thread):
    """Sends bytes one a second, until the agent has had enough."""

    def __init__(self, stranger: Stranger, data: bytes) -> None:
        super().__init__(name="drip", daemon=True)
        self._stranger = stranger
        self._data = data
        self._stopping = threading.Event()
        self.cut = False

    def run(self) -> None:
        try:
            for byte in self._data:
                self._stranger.say(bytes([byte]))
                if self._stopping.wait(1.0):
                    return
        except OSError:
            self.cut = True

    def stop(self) -> None:
        """Let it be."""
        self._stopping.set()
        self.join()
        self._stranger.socket.close()
