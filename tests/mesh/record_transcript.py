"""Record a transcript of this version: a real agent, and every kind of frame. See tests/core/transcripts/README.md."""

import shutil
import subprocess
import sys
import tempfile
from hashlib import sha256
from pathlib import Path

from agentmesh import __version__
from agentmesh.core.address import Address
from agentmesh.core.delivery import State
from agentmesh.core.model import Message, Receipt
from agentmesh.core.wire import (
    NEWEST_PROTOCOL,
    Bye,
    Chunk,
    Deliver,
    Dropped,
    Frame,
    Hello,
    JobAnswer,
    JobRequest,
    Offer,
    Ready,
    ReceiptNews,
    Report,
    Reported,
    SliceNews,
    Summary,
    Withdraw,
    encode,
)
from tests.core.examples import NOW, a_job, a_pane, a_slice, an_event
from tests.core.transcript import ANSWERER, CALLER, FOLDER, Piece, piece, save
from tests.mesh.local import LocalHost
from tests.mesh.visit import Visit, keeper

SEAT = f"{CALLER}-dev-desk"
FILE = bytes(range(256)) * 10


def a_message(number: int, window: str, body: str) -> Message:
    to = Address(f"{ANSWERER}-dev-{window}")
    return Message(id=f"{number:032x}", sender=SEAT, to=to, host=ANSWERER, body=body, sent=NOW, expires=0)


class Recorder:
    """Visits an agent, and keeps what is said."""

    def __init__(self, host: LocalHost) -> None:
        self._host = host
        self._visit = Visit(host)
        self.pieces: list[Piece] = []

    def say(self, frame: Frame, conversation: str = "link") -> None:
        """Say a frame."""
        self._keep(conversation, CALLER, encode(frame))
        self._visit.say(conversation, encode(frame))

    def hear(self, kind: type[Frame], conversation: str = "link") -> Frame:
        """Hear frames up to the first of a kind."""
        while True:
            frame = self._visit.hear(conversation)
            assert frame is not None, self._host.log
            self._keep(conversation, ANSWERER, encode(frame))
            if isinstance(frame, kind):
                return frame

    def hear_end(self, of: str, state: State) -> None:
        """Hear receipts up to one with a state."""
        heard = self.hear(ReceiptNews)
        while not (isinstance(heard, ReceiptNews) and (heard.receipt.id, heard.receipt.state) == (of, state)):
            heard = self.hear(ReceiptNews)

    def command(self, *words: str) -> subprocess.Popen[bytes]:
        """Run a command on the agent's host."""
        self.pieces.append(Piece("command", ANSWERER, " ".join(words)))
        return self._host.popen(*words)

    def _keep(self, conversation: str, by: str, data: bytes) -> None:
        assert conversation in {"link", "drop"}
        self.pieces.append(piece("link" if conversation == "link" else "drop", by, data))


def converse(recorder: Recorder) -> None:
    """Say everything that can be said."""
    recorder.say(Hello(host=CALLER, version=__version__))
    recorder.hear(Hello)
    own = a_slice(a_pane(SEAT, host=CALLER, role="recorder"), host=CALLER)
    recorder.say(Summary((ANSWERER,), {CALLER: own.version}))
    recorder.hear(SliceNews)
    recorder.say(SliceNews(own))
    delivered, waiting = a_message(1, "first", "hello from then"), a_message(2, "nowhere", "this one waits")
    recorder.say(Deliver(delivered))
    recorder.hear_end(delivered.id, State.SUBMITTED)
    recorder.say(Deliver(waiting, 600))
    recorder.hear_end(waiting.id, State.STORED)
    recorder.say(Withdraw(waiting))
    recorder.hear_end(waiting.id, State.WITHDRAWN)
    command = recorder.command("notify-pane", SEAT, "hello-back")
    heard = recorder.hear(Deliver)
    assert isinstance(heard, Deliver)
    message, state = heard.message, State.SUBMITTED
    recorder.say(ReceiptNews(Receipt(id=message.id, to=message.to, host=CALLER, state=state, target="dev:1", time=NOW)))
    assert command.wait() == 0
    speak_of_jobs(recorder)
    recorder.say(Hello(host=CALLER, version=__version__, channel="drop"), "drop")
    recorder.hear(Hello, "drop")
    recorder.say(Offer(sender=SEAT, name="then.bin", size=len(FILE), sha256=sha256(FILE).hexdigest()), "drop")
    recorder.hear(Ready, "drop")
    recorder.say(Chunk(FILE), "drop")
    recorder.hear(Dropped, "drop")
    recorder.say(Bye("goodbye"))


def speak_of_jobs(recorder: Recorder) -> None:
    """Have the agent claim a job of the caller's; ask it for one, and report on one, that it doesn't have."""
    job = a_job(id=f"{CALLER}-{'1' * 16}", home=CALLER, to=f"{ANSWERER}-dev-first", hosts=(ANSWERER,), submitter=SEAT)
    command = recorder.command("agentmesh", "job", "claim", job.id)
    asked = recorder.hear(JobRequest)
    assert isinstance(asked, JobRequest)
    recorder.say(JobAnswer(asked.ticket, job, token="0" * 64))
    told = recorder.hear(Report)
    assert isinstance(told, Report)
    recorder.say(Reported(told.event.job, told.event.sender, told.event.seq))
    assert command.wait() == 0
    unknown = f"{ANSWERER}-{'2' * 16}"
    recorder.say(JobRequest("3" * 32, unknown, patience=1))
    recorder.hear(JobAnswer)
    recorder.say(Report(an_event(job=unknown, sender=SEAT)))
    recorder.hear(Reported)


def main() -> None:
    """Record, and say where."""
    path = FOLDER / f"protocol-{NEWEST_PROTOCOL}-agentmesh-{__version__}.jsonl"
    root = Path(tempfile.mkdtemp(prefix="am-"))
    host = LocalHost(ANSWERER, root)
    try:
        recorder = Recorder(keeper(host))
        converse(recorder)
        save(path, recorder.pieces)
        sys.stdout.write(f"{path}: {len(recorder.pieces)} pieces\n")
    finally:
        host.end()
        shutil.rmtree(root)


if __name__ == "__main__":
    main()
