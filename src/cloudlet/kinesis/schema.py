"""Tables of data streams.

A record's id is its shard's id and its number in the shard (`sequences.record_id`): one tree holds
all records, in the order in which they are read. A shard whose stream is NULL waits for its end.
"""

SCHEMA = """
CREATE TABLE IF NOT EXISTS kinesis_streams (
    id              INTEGER PRIMARY KEY AUTOINCREMENT,
    name            TEXT NOT NULL UNIQUE,
    arn             TEXT NOT NULL UNIQUE,
    public_id       TEXT NOT NULL UNIQUE,
    mode            TEXT NOT NULL,
    created_ms      INTEGER NOT NULL,
    secret          TEXT NOT NULL,             -- of the iterators, hex
    retention_hours INTEGER NOT NULL DEFAULT 24,
    record_kib_max  INTEGER NOT NULL DEFAULT 1024,
    shards_made     INTEGER NOT NULL DEFAULT 0,
    metrics         TEXT NOT NULL DEFAULT '[]', -- shard-level ones, JSON
    tags            TEXT NOT NULL DEFAULT '{}',
    policy          TEXT,
    key_id          TEXT,                      -- as StartStreamEncryption named it
    data_key        INTEGER                    -- that seals new records
);
CREATE TABLE IF NOT EXISTS kinesis_shards (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    stream     INTEGER REFERENCES kinesis_streams ON DELETE SET NULL,
    number     INTEGER NOT NULL,
    parent     INTEGER,                        -- numbers
    adjacent   INTEGER,
    first_key  TEXT NOT NULL,                  -- hash keys, 39 digits
    last_key   TEXT NOT NULL,
    epoch_s    INTEGER NOT NULL,               -- sequence numbers begin with it
    created_ms INTEGER NOT NULL,
    closed_ms  INTEGER,
    last       INTEGER NOT NULL DEFAULT 0,     -- number of the newest record
    last_ms    INTEGER NOT NULL DEFAULT 0,
    UNIQUE (stream, number)
);
CREATE INDEX IF NOT EXISTS kinesis_shards_open ON kinesis_shards (stream, first_key)
    WHERE closed_ms IS NULL;
CREATE TABLE IF NOT EXISTS kinesis_records (
    id            INTEGER PRIMARY KEY,
    created_ms    INTEGER NOT NULL,
    data_key      INTEGER,                     -- NULL: not sealed
    partition_key TEXT NOT NULL,
    data          BLOB NOT NULL
);
CREATE TABLE IF NOT EXISTS kinesis_consumers (
    arn        TEXT PRIMARY KEY,
    stream     INTEGER NOT NULL REFERENCES kinesis_streams ON DELETE CASCADE,
    name       TEXT NOT NULL,
    created_ms INTEGER NOT NULL,
    tags       TEXT NOT NULL DEFAULT '{}',
    policy     TEXT,
    UNIQUE (stream, name)
);
CREATE TABLE IF NOT EXISTS kinesis_keys (
    id      INTEGER PRIMARY KEY AUTOINCREMENT,
    wrapped TEXT NOT NULL
);
"""
