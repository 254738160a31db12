"""The door to SQLite: one connection on one thread, every change a transaction that is on disk when it returns."""

import asyncio
import sqlite3
import time
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Concatenate, ParamSpec, TypeVar

from agentmesh.errors import StoreFailed
from agentmesh.store.migrations import migrate

P = ParamSpec("P")
R = TypeVar("R")

BUSY_SECONDS = 10.0
"""How long a transaction waits for another process's."""
_BUSY_POLL_SECONDS = 0.005


class Database:
    """The host's durable state. The functions that it runs get the connection as their first argument."""

    def __init__(self, path: Path, thread: ThreadPoolExecutor, connection: sqlite3.Connection) -> None:
        self._path = path
        self._thread = thread
        self._connection = connection

    async def write(
        self, change: Callable[Concatenate[sqlite3.Connection, P], R], *args: P.args, **kwargs: P.kwargs
    ) -> R:
        """Run a function in a transaction; when this returns, what it wrote is durable. Raises StoreFailed."""

        def transaction() -> R:
            try:
                self._connection.execute("BEGIN IMMEDIATE")
                with self._connection:
                    return change(self._connection, *args, **kwargs)
            except sqlite3.Error as error:
                raise StoreFailed(path=self._path, reason=error) from error

        return await asyncio.get_running_loop().run_in_executor(self._thread, transaction)


def _connect(path: Path, journal: str) -> sqlite3.Connection:
    path.touch(mode=0o600)
    connection = sqlite3.connect(path, isolation_level=None, timeout=BUSY_SECONDS, check_same_thread=False)
    try:
        _use_journal(connection, journal)
        connection.execute("PRAGMA synchronous = FULL")
        migrate(connection)
    except sqlite3.Error:
        connection.close()
        raise
    return connection


def _use_journal(connection: sqlite3.Connection, mode: str) -> None:
    """Switch the journal's mode, for good. SQLite itself doesn't wait for another process that does the same."""
    deadline = time.monotonic() + BUSY_SECONDS
    while True:
        try:
            connection.execute(f"PRAGMA journal_mode = {mode}")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
            time.sleep(_BUSY_POLL_SECONDS)
        else:
            return


@asynccontextmanager
async def open_database(path: Path, *, on_network: bool = False) -> AsyncIterator[Database]:
    """Open the database, made or migrated as needed. Raises StoreFailed.

    On a network file system there is no shared memory for a write-ahead log (sqlite.org/wal.html, section 1).
    """
    with ThreadPoolExecutor(max_workers=1, thread_name_prefix="database") as thread:
        loop = asyncio.get_running_loop()
        try:
            connection = await loop.run_in_executor(thread, _connect, path, "DELETE" if on_network else "WAL")
        except (sqlite3.Error, OSError) as error:
            raise StoreFailed(path=path, reason=error) from error
        try:
            yield Database(path, thread, connection)
        finally:
            await loop.run_in_executor(thread, connection.close)
