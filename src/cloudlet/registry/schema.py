"""Parameters with their versions; repositories."""

SCHEMA = """
CREATE TABLE IF NOT EXISTS registry_parameters (
    name    TEXT PRIMARY KEY,
    version INTEGER NOT NULL,                -- the newest
    tags    TEXT NOT NULL DEFAULT '{}'       -- JSON
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS registry_versions (
    name        TEXT NOT NULL REFERENCES registry_parameters (name) ON DELETE CASCADE,
    version     INTEGER NOT NULL,
    modified_ms INTEGER NOT NULL,
    document    TEXT NOT NULL,               -- JSON: Type, Value, Description, …
    PRIMARY KEY (name, version)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS registry_repositories (
    name       TEXT PRIMARY KEY,
    created_ms INTEGER NOT NULL,
    document   TEXT NOT NULL,                -- JSON: imageTagMutability, …
    policy     TEXT NOT NULL DEFAULT '',
    lifecycle  TEXT NOT NULL DEFAULT '',
    tags       TEXT NOT NULL DEFAULT '{}'    -- JSON
) WITHOUT ROWID;
"""
