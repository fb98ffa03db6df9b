"""Tables of REST APIs: documents with the member names of AWS's answers, in JSON.

The live configuration of an API stands in `rest_apis` and `rest_parts`; what a stage serves is the
frozen `snapshot` of its deployment (see `snapshots`).
"""

SCHEMA = """
CREATE TABLE IF NOT EXISTS rest_apis (
    api_id     TEXT PRIMARY KEY,
    created_ms INTEGER NOT NULL,
    document   TEXT NOT NULL              -- members of GetRestApi
);
CREATE TABLE IF NOT EXISTS rest_parts (
    api_id   TEXT NOT NULL REFERENCES rest_apis ON DELETE CASCADE,
    kind     TEXT NOT NULL,               -- resource, model, authorizer, stage, … (documents.KINDS)
    id       TEXT NOT NULL,               -- its id, or the name that addresses it
    document TEXT NOT NULL,
    PRIMARY KEY (api_id, kind, id)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS rest_deployments (
    api_id     TEXT NOT NULL REFERENCES rest_apis ON DELETE CASCADE,
    id         TEXT NOT NULL,
    created_ms INTEGER NOT NULL,
    document   TEXT NOT NULL,             -- members of GetDeployment
    snapshot   TEXT NOT NULL,             -- immutable: what `snapshots.Deployed` describes
    PRIMARY KEY (api_id, id)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS rest_items (
    kind       TEXT NOT NULL,             -- usageplan, account
    id         TEXT NOT NULL,
    created_ms INTEGER NOT NULL,
    document   TEXT NOT NULL,
    PRIMARY KEY (kind, id)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS rest_keys (
    id         TEXT PRIMARY KEY,
    value      TEXT NOT NULL UNIQUE,      -- what clients send as x-api-key
    created_ms INTEGER NOT NULL,
    document   TEXT NOT NULL              -- members of GetApiKey
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS rest_plan_keys (
    plan_id TEXT NOT NULL,
    key_id  TEXT NOT NULL REFERENCES rest_keys ON DELETE CASCADE,
    PRIMARY KEY (plan_id, key_id)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS rest_plans_of_key ON rest_plan_keys (key_id);
CREATE TABLE IF NOT EXISTS rest_usage (
    plan_id TEXT NOT NULL,
    key_id  TEXT NOT NULL,
    day     TEXT NOT NULL,                -- 2026-01-31, UTC
    used    INTEGER NOT NULL DEFAULT 0,   -- requests that were let through
    granted INTEGER NOT NULL DEFAULT 0,   -- by UpdateUsage, on top of the quota's limit
    PRIMARY KEY (plan_id, key_id, day)
) WITHOUT ROWID;
"""
