"""The SQL tables that all DynamoDB tables share; each of those also has its own (see `storage`)."""

from cloudlet.store.memory import watched

_TABLES = """
CREATE TABLE IF NOT EXISTS dynamodb_tables (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    name       TEXT NOT NULL UNIQUE,
    definition BLOB NOT NULL               -- JSON, see definitions.Table
);
CREATE TABLE IF NOT EXISTS dynamodb_counts (
    table_id   INTEGER NOT NULL,
    index_id   INTEGER NOT NULL,           -- 0: the table itself
    items      INTEGER NOT NULL DEFAULT 0,
    bytes      INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (table_id, index_id)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS dynamodb_tags (
    arn        TEXT NOT NULL,
    key        TEXT NOT NULL,
    value      TEXT NOT NULL,
    PRIMARY KEY (arn, key)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS dynamodb_policies (
    arn        TEXT PRIMARY KEY,           -- of a table or a stream
    policy     TEXT NOT NULL,              -- as it was sent
    revision   TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS dynamodb_backfills (
    table_id   INTEGER NOT NULL,
    index_id   INTEGER NOT NULL,           -- 0: the expiry column
    pk         BLOB NOT NULL DEFAULT x'',  -- rows up to here are done
    sk         BLOB NOT NULL DEFAULT x'',
    PRIMARY KEY (table_id, index_id)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS dynamodb_tokens (
    token      TEXT PRIMARY KEY,           -- of TransactWriteItems, with the caller's account
    digest     BLOB NOT NULL,
    created_ms INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS dynamodb_transfers (
    arn        TEXT PRIMARY KEY,           -- of an export or import
    kind       TEXT NOT NULL,              -- "Export" or "Import"
    table_arn  TEXT NOT NULL,
    token      TEXT,                       -- the client's
    status     TEXT NOT NULL,
    document   BLOB NOT NULL               -- JSON, see transfers.Job
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS dynamodb_streams (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    arn        TEXT NOT NULL UNIQUE,
    label      TEXT NOT NULL,
    table_name TEXT NOT NULL,
    view_type  TEXT NOT NULL,
    key_schema BLOB NOT NULL,
    created_ms INTEGER NOT NULL,
    closed_ms  INTEGER,                    -- NULL while enabled
    trimmed    INTEGER NOT NULL DEFAULT 0  -- numbers up to here are gone
);
CREATE TABLE IF NOT EXISTS dynamodb_records (
    stream_id  INTEGER NOT NULL,
    number     INTEGER NOT NULL,           -- 1, 2, 3, …; shards without records use one up
    created_ms INTEGER NOT NULL,
    document   BLOB NOT NULL,              -- JSON, as Lambda gets it
    PRIMARY KEY (stream_id, number)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS dynamodb_shards (
    stream_id  INTEGER NOT NULL,
    opened_ms  INTEGER NOT NULL,
    parent_ms  INTEGER,                    -- when the parent was opened
    first      INTEGER NOT NULL,           -- number of a record
    last       INTEGER,                    -- NULL while open
    closed_ms  INTEGER,
    PRIMARY KEY (stream_id, opened_ms)
) WITHOUT ROWID;
-- streams from before there were rows for shards have one
INSERT INTO dynamodb_shards (stream_id, opened_ms, first, last, closed_ms)
    SELECT s.id, s.created_ms, 1, CASE WHEN s.closed_ms IS NOT NULL THEN max(1, s.trimmed, coalesce(
        (SELECT max(number) FROM dynamodb_records r WHERE r.stream_id = s.id), 0)) END, s.closed_ms
    FROM dynamodb_streams s
    WHERE NOT EXISTS (SELECT 1 FROM dynamodb_shards d WHERE d.stream_id = s.id);
"""
SCHEMA = _TABLES + watched("dynamodb_tables", "dynamodb_policies")
