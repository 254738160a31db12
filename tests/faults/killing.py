"""Run an agent, again and again, that can kill itself between any two steps of a message's life, or of a job's.

The steps are seen from outside, by Python's own profiling hook: each transaction that changes something, each execution
of tmux for a pane, each frame that leaves and each that comes, each change of a job's record. Nothing of the product is
changed or replaced.

A file says what to do, and is looked at whenever a step is met: it is absent (go on), says ``list FILE`` (append the
name of each step to that file), or says ``kill STEP`` or ``stop STEP``: at that step, once, the process sends itself
SIGKILL or SIGSTOP, and the file is removed. A step's name counts how often the like came before; a step repeated
without another between, as a look at a pane that is polled, counts once.

For each line on standard input an agent is forked from this process, which has imported everything; its pid is told.
"""

import asyncio
import os
import signal
import sys
import threading
import traceback
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

from agentmesh.adapters import files, ledger
from agentmesh.adapters.tmux_client import Clients
from agentmesh.agent import app
from agentmesh.agent.stream import FrameStream
from agentmesh.config import Paths
from agentmesh.core import session
from agentmesh.core.delivery import Event, State
from agentmesh.store.database import Database

PLAN = "FAULTS_PLAN"
"""The environment variable that names the file."""
SIGNALS = {"kill": signal.SIGKILL, "stop": signal.SIGSTOP}
MARGINS = {"call": "before", "return": "after"}
FRAMES = {"Deliver", "Withdraw", "ReceiptNews", "Report", "Reported"}
"""The frames by which messages and events go on; that somebody asks for a job is no step of it."""
CHANGES = {
    "jobs": {"register", "report", "take", "note_briefs", "note_shown"},
    "reports": {"keep_grant", "store", "settle"},
}
"""The transactions of jobs that change something: others come all the time. Of messages, all are steps."""


def _transaction(frame: FrameType) -> str:
    """Name a transaction by what it changes; nothing for what has no part in a message's life, or a job's."""
    change, words = frame.f_locals["change"], frame.f_locals["args"]
    module = change.__module__.rpartition(".")[2]
    if module not in {"inbox", "outbox"} and change.__name__ not in CHANGES.get(module, ()):
        return ""
    return " ".join([f"{module}.{change.__name__}", *map(_events, words)]).strip()


def _events(word: object) -> str:
    return word.value if isinstance(word, Event | State) else getattr(word, "state", "")


def _tmux(frame: FrameType) -> str:
    """Name an execution of tmux by what it does to the pane."""
    text = " ".join(frame.f_locals["command"])
    return "tmux " + ("pastes" if "paste-buffer" in text else "presses" if "send-keys" in text else "looks")


def _sent(frame: FrameType) -> str:
    """Name what is sent together by the first that is a step."""
    return next(filter(None, (_frame("sends", each) for each in frame.f_locals["frames"])), "")


def _answered(frame: FrameType) -> str:
    return _frame("sends", frame.f_locals["frame"])


def _received(frame: FrameType) -> str:
    return _frame("hears", frame.f_locals["frame"])


def _frame(verb: str, frame: Any) -> str:  # noqa: ANN401 (any of the wire's frames)
    kind = type(frame).__name__
    if kind not in FRAMES:
        return ""
    return f"{verb} {kind} {frame.receipt.state.value if kind == 'ReceiptNews' else ''}".strip()


def _appends(_: FrameType) -> str:
    return "appends"


def _replaces(frame: FrameType) -> str:
    """Name the replacement of a job's description; nothing for other files."""
    name = frame.f_locals["path"].name
    return f"replaces {name}" if name == "job.json" else ""


def _inner(function: Callable[..., Any], name: str) -> CodeType:
    (code,) = (part for part in function.__code__.co_consts if isinstance(part, CodeType) and part.co_name == name)
    return code


STEPS: dict[CodeType, Callable[[FrameType], str]] = {
    _inner(Database.write, "transaction"): _transaction,
    Clients.run.__code__: _tmux,
    FrameStream.send.__code__: _sent,
    FrameStream.answer.__code__: _answered,
    session.receive.__code__: _received,
    ledger.append.__code__: _appends,
    files.replace.__code__: _replaces,
}
"""What is counted as a step, by its code."""


class Watch:
    """Counts the steps since the file appeared, and does what it says."""

    def __init__(self, plan: Path) -> None:
        self._plan = plan
        self._doing = ""
        self._counts: Counter[str] = Counter()
        self._last = ""
        self._lock = threading.Lock()

    def __call__(self, frame: FrameType, event: str, _: object) -> None:
        """Be told of a call or a return of any function."""
        name = STEPS.get(frame.f_code)
        if name is None or event not in MARGINS:
            return
        try:
            if step := name(frame):
                with self._lock:
                    self._meet(f"{MARGINS[event]} {step}")
        except BaseException:  # noqa: BLE001 (it ends the process)
            # Python would go on without this hook: nothing would be a step any more, and nobody would see it.
            traceback.print_exc()
            os._exit(1)

    def _meet(self, step: str) -> None:
        try:
            doing = self._plan.read_text()
        except FileNotFoundError:
            self._doing = ""
            return
        if doing != self._doing:
            self._doing, self._last = doing, ""
            self._counts.clear()
        if step != self._last and not step.endswith("tmux looks"):
            self._counts[step] += 1
        self._last = step
        numbered = f"{step} {self._counts[step]}"
        if doing.startswith("list "):
            with Path(doing.removeprefix("list ")).open("a") as file:
                file.write(f"{numbered}\n")
        elif doing.partition(" ")[2] == numbered:
            try:
                self._plan.unlink()
            except FileNotFoundError:
                return  # it was called off just now
            # Sent to this thread, it acts before another step can be begun.
            signal.pthread_kill(threading.get_ident(), SIGNALS[doing.partition(" ")[0]])


def main() -> None:
    """Fork an agent for each line, and wait for its end before the next."""
    for _ in sys.stdin:
        pid = os.fork()
        if pid == 0:
            try:
                watch = Watch(Path(os.environ[PLAN]))
                threading.setprofile(watch)
                sys.setprofile(watch)
                asyncio.run(app.run(Paths.from_environment()))
            finally:
                os._exit(0)
        sys.stdout.write(f"{pid}\n")
        sys.stdout.flush()
        os.waitpid(pid, 0)


if __name__ == "__main__":
    main()
