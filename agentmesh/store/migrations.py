"""The database's shape, step by step. Append only: earlier steps are already on other hosts' disks."""

import sqlite3

MIGRATIONS = (
    """
    CREATE TABLE facts (name TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT;
    CREATE TABLE slices (host TEXT PRIMARY KEY, slice BLOB NOT NULL) STRICT;
    CREATE TABLE outbox (
        id TEXT PRIMARY KEY,
        host TEXT NOT NULL,
        state TEXT NOT NULL,
        message BLOB NOT NULL,
        receipt BLOB
    ) STRICT;
    CREATE INDEX outbox_by_state ON outbox (state);
    CREATE TABLE inbox (
        id TEXT PRIMARY KEY,
        address TEXT NOT NULL,
        state TEXT NOT NULL,
        message BLOB NOT NULL,
        receipt BLOB
    ) STRICT;
    CREATE INDEX inbox_by_state ON inbox (state);
    """,
    """
    ALTER TABLE inbox ADD COLUMN read INTEGER NOT NULL DEFAULT 0;
    CREATE INDEX inbox_by_address ON inbox (address);
    """,
    """
    ALTER TABLE slices ADD COLUMN key TEXT NOT NULL DEFAULT '';
    ALTER TABLE slices ADD COLUMN signature TEXT NOT NULL DEFAULT '';
    ALTER TABLE inbox ADD COLUMN origin BLOB NOT NULL DEFAULT '{}';
    """,
    """
    CREATE TABLE jobs (
        id TEXT PRIMARY KEY,
        state TEXT NOT NULL,
        token TEXT NOT NULL,
        job BLOB NOT NULL,
        is_shown INTEGER NOT NULL DEFAULT 0
    ) STRICT;
    CREATE INDEX jobs_by_state ON jobs (state);
    CREATE TABLE events (
        number INTEGER PRIMARY KEY,
        job TEXT NOT NULL,
        sender TEXT NOT NULL,
        seq INTEGER NOT NULL,
        event BLOB NOT NULL,
        received INTEGER NOT NULL,
        origin BLOB NOT NULL,
        UNIQUE (job, sender, seq)
    ) STRICT;
    CREATE TABLE dropped (job TEXT NOT NULL, dropped BLOB NOT NULL) STRICT;
    CREATE INDEX dropped_by_job ON dropped (job);
    CREATE TABLE unsent (job TEXT PRIMARY KEY) STRICT;
    CREATE TABLE briefs (job TEXT NOT NULL, message TEXT NOT NULL, receipt BLOB NOT NULL) STRICT;
    CREATE INDEX briefs_by_job ON briefs (job);
    CREATE TABLE seqs (job TEXT NOT NULL, sender TEXT NOT NULL, seq INTEGER NOT NULL, PRIMARY KEY (job, sender)) STRICT;
    CREATE TABLE grants (job TEXT PRIMARY KEY, token TEXT NOT NULL) STRICT;
    CREATE TABLE workers (
        job TEXT PRIMARY KEY,
        sender TEXT NOT NULL,
        pid INTEGER NOT NULL,
        started TEXT NOT NULL,
        program TEXT NOT NULL
    ) STRICT;
    CREATE TABLE reports (
        number INTEGER PRIMARY KEY AUTOINCREMENT,
        home TEXT NOT NULL,
        job TEXT NOT NULL,
        sender TEXT NOT NULL,
        seq INTEGER NOT NULL,
        event BLOB NOT NULL
    ) STRICT;
    CREATE INDEX reports_by_home ON reports (home);
    """,
    """
    CREATE TABLE mirrors (broker TEXT PRIMARY KEY, number INTEGER NOT NULL) STRICT;
    CREATE TABLE retained (
        broker TEXT NOT NULL,
        job TEXT NOT NULL,
        event BLOB NOT NULL,
        until INTEGER NOT NULL,
        PRIMARY KEY (broker, job)
    ) STRICT;
    """,
    """
    CREATE TABLE reviews (
        number INTEGER PRIMARY KEY,
        id TEXT NOT NULL UNIQUE,
        is_settled INTEGER NOT NULL,
        review BLOB NOT NULL
    ) STRICT;
    CREATE INDEX reviews_by_need ON reviews (is_settled);
    """,
    """
    CREATE TABLE withheld (
        broker TEXT NOT NULL,
        job TEXT NOT NULL,
        number INTEGER NOT NULL,
        PRIMARY KEY (broker, job)
    ) STRICT;
    """,
    """
    CREATE TABLE agent_sessions (
        number INTEGER PRIMARY KEY,
        name TEXT NOT NULL,
        status TEXT NOT NULL,
        session BLOB NOT NULL
    ) STRICT;
    CREATE UNIQUE INDEX agent_sessions_by_name ON agent_sessions (name) WHERE status <> 'archived';
    """,
)


def migrate(connection: sqlite3.Connection) -> None:
    """Bring the database to the newest shape. Of several processes that open it at once, one does, the others wait."""
    if _version(connection) >= len(MIGRATIONS):
        return
    connection.execute("BEGIN IMMEDIATE")
    with connection:
        for step in MIGRATIONS[_version(connection) :]:
            for statement in step.split(";"):
                connection.execute(statement)
        connection.execute(f"PRAGMA user_version = {len(MIGRATIONS)}")


def _version(connection: sqlite3.Connection) -> int:
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    return int(version)
