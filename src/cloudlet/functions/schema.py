"""Lambda's tables: what functions are, who may call them, how events reach them."""

SCHEMA = """
CREATE TABLE IF NOT EXISTS functions (
    name         TEXT PRIMARY KEY,
    reserved     INTEGER,                     -- reserved concurrency; NULL = none
    next_version INTEGER NOT NULL DEFAULT 1,
    tags         TEXT NOT NULL DEFAULT '{}'
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS function_versions (
    name    TEXT NOT NULL REFERENCES functions ON DELETE CASCADE,
    version TEXT NOT NULL,                    -- '$LATEST' or a number
    config  TEXT NOT NULL,                    -- AWS's FunctionConfiguration, JSON
    code    TEXT NOT NULL,                    -- {"folder": …, "digest": …, "in_place": bool}
    PRIMARY KEY (name, version)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS function_aliases (
    name   TEXT NOT NULL REFERENCES functions ON DELETE CASCADE,
    alias  TEXT NOT NULL,
    config TEXT NOT NULL,                     -- AWS's AliasConfiguration, JSON
    PRIMARY KEY (name, alias)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS function_permissions (
    name      TEXT NOT NULL REFERENCES functions ON DELETE CASCADE,
    qualifier TEXT NOT NULL,                  -- '' = the unqualified function
    sid       TEXT NOT NULL,
    statement TEXT NOT NULL,
    PRIMARY KEY (name, qualifier, sid)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS function_event_configs (
    name      TEXT NOT NULL REFERENCES functions ON DELETE CASCADE,
    qualifier TEXT NOT NULL,
    config    TEXT NOT NULL,
    PRIMARY KEY (name, qualifier)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS function_urls (
    name      TEXT NOT NULL REFERENCES functions ON DELETE CASCADE,
    qualifier TEXT NOT NULL,                  -- '' or an alias
    url_id    TEXT NOT NULL UNIQUE,           -- the first label of its host name
    config    TEXT NOT NULL,
    PRIMARY KEY (name, qualifier)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS function_recursion ( -- what differs from Terminate
    name TEXT PRIMARY KEY REFERENCES functions ON DELETE CASCADE,
    loop TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS function_provisioned (
    name      TEXT NOT NULL REFERENCES functions ON DELETE CASCADE,
    qualifier TEXT NOT NULL,                  -- a version or an alias
    wanted    INTEGER NOT NULL,
    changed_ms INTEGER NOT NULL,
    PRIMARY KEY (name, qualifier)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS function_failures ( -- failed attempts of async invocations (facts)
    fact_id  INTEGER PRIMARY KEY,
    failures INTEGER NOT NULL
);
CREATE TABLE IF NOT EXISTS function_layers (
    name    TEXT NOT NULL,
    version INTEGER NOT NULL,
    config  TEXT NOT NULL,
    code    TEXT NOT NULL,                    -- as in function_versions
    is_deleted INTEGER NOT NULL DEFAULT 0,    -- functions that have it keep it
    PRIMARY KEY (name, version)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS event_source_mappings (
    uuid         TEXT PRIMARY KEY,
    function_arn TEXT NOT NULL,
    source_arn   TEXT NOT NULL,
    config       TEXT NOT NULL
) WITHOUT ROWID;
ALTER TABLE event_source_mappings ADD COLUMN
    last_result TEXT NOT NULL DEFAULT 'No records processed';
CREATE TABLE IF NOT EXISTS mapping_positions (
    uuid     TEXT NOT NULL REFERENCES event_source_mappings ON DELETE CASCADE,
    shard    TEXT NOT NULL,
    after    TEXT NOT NULL,                   -- sequence number of the last record done with
    is_done  INTEGER NOT NULL DEFAULT 0,      -- a closed shard, read to its end
    PRIMARY KEY (uuid, shard)
) WITHOUT ROWID;
ALTER TABLE mapping_positions ADD COLUMN window TEXT; -- the tumbling window that is open, JSON
CREATE TABLE IF NOT EXISTS mapping_lanes (    -- what is done behind a shard's position
    uuid     TEXT NOT NULL REFERENCES event_source_mappings ON DELETE CASCADE,
    shard    TEXT NOT NULL,
    factor   INTEGER NOT NULL,                -- how many lanes there are
    lane     INTEGER NOT NULL,
    after    TEXT NOT NULL,                   -- sequence number of its last record done with
    attempts TEXT NOT NULL DEFAULT '[]',      -- parts in retry: [[last, failures], …]
    PRIMARY KEY (uuid, shard, factor, lane)
) WITHOUT ROWID;
"""
