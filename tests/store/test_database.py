"""The database: opened, migrated, shared between processes, and whole after a hard kill."""

import asyncio
import sqlite3
import sys
import threading
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from agentmesh.errors import StoreFailed
from agentmesh.store import outbox, slices
from agentmesh.store.database import Database, open_database
from agentmesh.store.migrations import MIGRATIONS, migrate
from tests.core.examples import a_message

CHECKOUT = Path(__file__).parents[2]
WRITER = """
import asyncio, sys
from pathlib import Path
from agentmesh.store import outbox
from agentmesh.store.database import open_database
from tests.core.examples import a_message

async def main(path, first, count):
    async with open_database(Path(path)) as database:
        for number in range(int(first), int(first) + int(count)):
            await database.write(outbox.accept, a_message(number))
            print(number, flush=True)

asyncio.run(main(*sys.argv[1:]))
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "mesh.db"


@pytest.fixture
async def database(path: Path) -> AsyncIterator[Database]:
    async with open_database(path) as database:
        yield database


async def writer(path: Path, first: int, count: int) -> asyncio.subprocess.Process:
    """Start a process that accepts messages, and says which once each is written."""
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", WRITER, str(path), str(first), str(count)),
        stdout=asyncio.subprocess.PIPE,
        cwd=CHECKOUT,
    )


async def test_the_journal_is_a_file_beside_it_on_a_network_file_system_alone(path: Path) -> None:
    for number, on_network in enumerate((False, True, True, False)):
        async with open_database(path, on_network=on_network) as database:
            mode = await database.write(lambda connection: connection.execute("PRAGMA journal_mode").fetchone()[0])
            assert mode == ("delete" if on_network else "wal")
            await database.write(outbox.accept, a_message(number))


def shape(path: Path) -> list[tuple[str, ...]]:
    with sqlite3.connect(path) as connection:
        found = connection.execute("SELECT type, name, sql FROM sqlite_master ORDER BY name").fetchall()
    connection.close()
    return found


async def test_the_database_is_private_durable_and_of_the_newest_shape(database: Database, path: Path) -> None:
    def pragma(connection: sqlite3.Connection, name: str) -> object:
        return connection.execute(f"PRAGMA {name}").fetchone()[0]

    assert path.stat().st_mode & 0o777 == 0o600  # noqa: ASYNC240 (a test may look)
    assert await database.write(pragma, "journal_mode") == "wal"
    assert await database.write(pragma, "synchronous") == 2
    assert await database.write(pragma, "user_version") == len(MIGRATIONS)


def test_migrating_again_changes_nothing(path: Path) -> None:
    connection = sqlite3.connect(path, isolation_level=None)
    migrate(connection)
    before = shape(path)
    assert before
    migrate(connection)
    connection.close()
    assert shape(path) == before


async def test_what_was_written_is_there_when_it_is_opened_again(path: Path) -> None:
    async with open_database(path) as database:
        await database.write(outbox.accept, a_message())
    async with open_database(path) as database:
        assert [letter.message for letter in await database.write(outbox.listed)] == [a_message()]


@pytest.mark.parametrize("kind", ["missing folder", "folder", "no database"])
async def test_a_path_that_is_no_database_is_a_sentence_with_it(tmp_path: Path, kind: str) -> None:
    path = {"missing folder": tmp_path / "a" / "b", "folder": tmp_path, "no database": tmp_path / "text"}[kind]
    if kind == "no database":
        path.write_text("this is no database at all" * 100)
    with pytest.raises(StoreFailed) as failed:
        async with open_database(path):
            pass
    assert str(path) in str(failed.value)


async def test_a_transaction_that_raises_changes_nothing(database: Database) -> None:
    def half(connection: sqlite3.Connection) -> None:
        outbox.accept(connection, a_message(1))
        raise LookupError

    with pytest.raises(LookupError):
        await database.write(half)
    await database.write(outbox.accept, a_message(2))
    assert [letter.message for letter in await database.write(outbox.listed)] == [a_message(2)]


async def test_a_broken_statement_is_a_failure_of_the_store(database: Database) -> None:
    def broken(connection: sqlite3.Connection) -> None:
        connection.execute("SELECT 1 FROM nowhere")

    with pytest.raises(StoreFailed, match="nowhere"):
        await database.write(broken)


async def test_what_was_told_to_be_written_survives_a_hard_kill(path: Path) -> None:
    process = await writer(path, 0, 10_000)
    assert process.stdout is not None
    told = 0
    while told < 20:
        told = int(await process.stdout.readline())
    process.kill()
    told = max([told, *map(int, (await process.stdout.read()).split())])
    await process.wait()
    async with open_database(path) as database:
        kept = [letter.message for letter in await database.write(outbox.listed)]
    # At most the one that was being written when the kill came may be there besides.
    assert [message.id for message in kept[: told + 1]] == [a_message(number).id for number in range(told + 1)]
    assert len(kept) - (told + 1) in {0, 1}


def test_several_can_open_a_new_database_at_once(path: Path) -> None:
    start = threading.Barrier(8)

    async def use_it() -> int:
        async with open_database(path) as database:
            return await database.write(slices.next_epoch)

    def in_a_thread(_: int) -> int:
        start.wait()
        return asyncio.run(use_it())

    with ThreadPoolExecutor(8) as threads:
        assert sorted(threads.map(in_a_thread, range(8))) == list(range(1, 9))


async def test_two_processes_write_without_loss(path: Path) -> None:
    processes = [await writer(path, first, 50) for first in (0, 1000)]
    assert [await process.wait() for process in processes] == [0, 0]
    for process in processes:
        assert process.stdout is not None
        await process.stdout.read()
    async with open_database(path) as database:
        kept = {message.id for message in [letter.message for letter in await database.write(outbox.listed)]}
    assert kept == {a_message(first + number).id for first in (0, 1000) for number in range(50)}


async def test_epochs_rise_in_every_process_and_at_every_start(path: Path) -> None:
    epochs = []
    for _ in range(3):
        async with open_database(path) as database:
            epochs += [await database.write(slices.next_epoch) for _ in range(2)]
    assert epochs == [1, 2, 3, 4, 5, 6]
