"""The agent's log: one line an event, with its facts as ``name=value``. Never a message's text, a key or a token.

What a peer does again and again, or says at great length, fills no disk: lines of one event are counted, facts are cut.
"""

import json
import logging
import math
import os
import sys
import time
from collections import defaultdict, deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from io import TextIOWrapper
from logging.handlers import QueueHandler, QueueListener, RotatingFileHandler
from pathlib import Path
from queue import SimpleQueue
from zlib import crc32

from agentmesh.adapters.files import PRIVATE_FILE
from agentmesh.core.status import Trouble

MINUTE = 60.0
MOST_A_MINUTE = 100
"""Lines of one event and, more or less, one reason; how many more there were is told with the next."""
SORTS = 16
"""So many reasons are told apart."""
LONGEST_FACT = 500
"""Characters."""
TROUBLES = 5
"""So many of the last warnings and errors are remembered."""
LARGEST_LOG = 2 * 1024 * 1024
OLD_LOGS = 3


class _Minute:
    """What was written of one event in the minute that began last."""

    def __init__(self) -> None:
        self.begin = -math.inf
        self.written = 0
        self.left_out = 0


class EventLog:
    """Writes events: ``log.info("link is up", peer="worker-1")``."""

    def __init__(self, name: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self.troubles: deque[Trouble] = deque(maxlen=TROUBLES)
        """The last warnings and errors."""
        self._minutes: defaultdict[tuple[str, int], _Minute] = defaultdict(_Minute)
        self._logger = logging.getLogger(name)
        self._logger.propagate = False
        self._logger.addHandler(logging.NullHandler())

    def info(self, event: str, **facts: object) -> None:
        """Write what happens in the normal course."""
        self._write(logging.INFO, event, facts)

    def warning(self, event: str, **facts: object) -> None:
        """Write what a person may have to look at."""
        self._write(logging.WARNING, event, facts)

    def error(self, event: str, **facts: object) -> None:
        """Write what did not work."""
        self._write(logging.ERROR, event, facts)

    def exception(self, event: str, **facts: object) -> None:
        """Write what must not happen, with the traceback of the exception being handled."""
        self._write(logging.ERROR, event, facts, with_traceback=True)

    def _write(self, level: int, event: str, facts: dict[str, object], *, with_traceback: bool = False) -> None:
        sort = crc32(str(facts.get("reason", "")).encode(errors="replace")) % SORTS
        minute, now = self._minutes[event, sort], self._clock()
        if now - minute.begin >= MINUTE:
            if minute.left_out:
                facts = {**facts, "left_out": minute.left_out}
            minute.begin, minute.written, minute.left_out = now, 0, 0
        if minute.written == MOST_A_MINUTE:
            minute.left_out += 1
            return
        minute.written += 1
        if level >= logging.WARNING:
            self.troubles.append(Trouble(int(time.time()), " ".join([event, *_told(facts)])))
        self._logger.log(level, event, extra={"facts": facts}, exc_info=with_traceback)

    @contextmanager
    def writing(self, file: Path) -> Iterator[None]:
        """Write to standard error and to a file, which is rotated; on a thread of its own, so that nobody waits."""
        handlers: list[logging.Handler] = [
            logging.StreamHandler(sys.stderr),
            _PrivateFile(file, maxBytes=LARGEST_LOG, backupCount=OLD_LOGS),
        ]
        for handler in handlers:
            handler.setFormatter(_FactsFormatter())
        events: SimpleQueue[logging.LogRecord] = SimpleQueue()
        sending = QueueHandler(events)
        listener = QueueListener(events, *handlers)
        self._logger.addHandler(sending)
        self._logger.setLevel(logging.INFO)
        listener.start()
        try:
            yield
        finally:
            listener.stop()
            self._logger.removeHandler(sending)
            for handler in handlers:
                handler.close()


class _PrivateFile(RotatingFileHandler):
    """A log that nobody else can read, the new one after each rotation, too."""

    def _open(self) -> TextIOWrapper:
        file = super()._open()
        os.fchmod(file.fileno(), PRIVATE_FILE)
        return file


class _FactsFormatter(logging.Formatter):
    """``2026-01-02T03:04:05Z INFO link is up peer=worker-1``."""

    converter = staticmethod(time.gmtime)

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(message)s", "%Y-%m-%dT%H:%M:%SZ")

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 (logging's name)
        """Return the line, facts at the end, quoted so that none can break it."""
        facts = getattr(record, "facts", {})
        return " ".join([super().formatMessage(record), *_told(facts)])


def _told(facts: Mapping[str, object]) -> list[str]:
    return [f"{name}={_quoted(str(fact))}" for name, fact in facts.items()]


def _quoted(text: str) -> str:
    if len(text) > LONGEST_FACT:
        text = f"{text[:LONGEST_FACT]}… ({len(text):,} characters)"
    return text if text.isprintable() and text and " " not in text else json.dumps(text)


log = EventLog("agentmesh")
