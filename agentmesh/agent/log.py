"""The agent's log: one line an event, with its facts as ``name=value``. Never a message's text, a key or a token."""

import json
import logging
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from logging.handlers import QueueHandler, QueueListener, RotatingFileHandler
from pathlib import Path
from queue import SimpleQueue

LARGEST_LOG = 2 * 1024 * 1024
OLD_LOGS = 3


class EventLog:
    """Writes events: ``log.info("link is up", peer="worker-1")``."""

    def __init__(self, name: str) -> None:
        self._logger = logging.getLogger(name)
        self._logger.propagate = False
        self._logger.addHandler(logging.NullHandler())

    def info(self, event: str, **facts: object) -> None:
        """Write what happens in the normal course."""
        self._logger.info(event, extra={"facts": facts})

    def warning(self, event: str, **facts: object) -> None:
        """Write what a person may have to look at."""
        self._logger.warning(event, extra={"facts": facts})

    def error(self, event: str, **facts: object) -> None:
        """Write what did not work."""
        self._logger.error(event, extra={"facts": facts})

    def exception(self, event: str, **facts: object) -> None:
        """Write what must not happen, with the traceback of the exception being handled."""
        self._logger.error(event, extra={"facts": facts}, exc_info=True)  # noqa: LOG014 (its callers are handlers)

    @contextmanager
    def writing(self, file: Path) -> Iterator[None]:
        """Write to standard error and to a file, which is rotated; on a thread of its own, so that nobody waits."""
        handlers: list[logging.Handler] = [
            logging.StreamHandler(sys.stderr),
            RotatingFileHandler(file, maxBytes=LARGEST_LOG, backupCount=OLD_LOGS),
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


class _FactsFormatter(logging.Formatter):
    """``2026-01-02T03:04:05Z INFO link is up peer=worker-1``."""

    converter = staticmethod(time.gmtime)

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(message)s", "%Y-%m-%dT%H:%M:%SZ")

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 (logging's name)
        """Return the line, facts at the end, quoted so that none can break it."""
        facts = getattr(record, "facts", {})
        return " ".join([super().formatMessage(record), *(f"{name}={_quoted(str(facts[name]))}" for name in facts)])


def _quoted(text: str) -> str:
    return text if text.isprintable() and text and " " not in text else json.dumps(text)


log = EventLog("agentmesh")
