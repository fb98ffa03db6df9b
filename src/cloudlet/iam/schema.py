"""IAM's and STS's tables. `kind` tells roles, users and groups apart where they share a table."""

SCHEMA = """
CREATE TABLE IF NOT EXISTS iam_role (
    name          TEXT PRIMARY KEY COLLATE NOCASE,
    id            TEXT NOT NULL UNIQUE,
    path          TEXT NOT NULL,
    trust         TEXT NOT NULL,           -- JSON
    description   TEXT,
    max_session_s INTEGER NOT NULL,
    boundary      TEXT,                    -- ARN of a managed policy
    created_ms    INTEGER NOT NULL,
    tags          TEXT NOT NULL            -- JSON: {key: value}
) WITHOUT ROWID;

CREATE TABLE IF NOT EXISTS iam_user (
    name       TEXT PRIMARY KEY COLLATE NOCASE,
    id         TEXT NOT NULL UNIQUE,
    path       TEXT NOT NULL,
    boundary   TEXT,
    created_ms INTEGER NOT NULL,
    tags       TEXT NOT NULL
) WITHOUT ROWID;

CREATE TABLE IF NOT EXISTS iam_group (
    name       TEXT PRIMARY KEY COLLATE NOCASE,
    id         TEXT NOT NULL UNIQUE,
    path       TEXT NOT NULL,
    created_ms INTEGER NOT NULL
) WITHOUT ROWID;

CREATE TABLE IF NOT EXISTS iam_member (
    user_name  TEXT NOT NULL COLLATE NOCASE REFERENCES iam_user (name),
    group_name TEXT NOT NULL COLLATE NOCASE REFERENCES iam_group (name),
    PRIMARY KEY (user_name, group_name)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS iam_member_group ON iam_member (group_name);

CREATE TABLE IF NOT EXISTS iam_profile (
    name       TEXT PRIMARY KEY COLLATE NOCASE,
    id         TEXT NOT NULL UNIQUE,
    path       TEXT NOT NULL,
    role       TEXT COLLATE NOCASE REFERENCES iam_role (name),
    created_ms INTEGER NOT NULL,
    tags       TEXT NOT NULL
) WITHOUT ROWID;

CREATE TABLE IF NOT EXISTS iam_alias (
    name TEXT PRIMARY KEY                  -- of the account; one at most
) WITHOUT ROWID;

CREATE TABLE IF NOT EXISTS iam_use (
    id      TEXT PRIMARY KEY,              -- of an access key or a role
    used_ms INTEGER NOT NULL,
    service TEXT NOT NULL
) WITHOUT ROWID;

CREATE TABLE IF NOT EXISTS iam_inline (
    kind     TEXT NOT NULL,                -- "role", "user" or "group"
    owner    TEXT NOT NULL COLLATE NOCASE,
    name     TEXT NOT NULL,
    document TEXT NOT NULL,
    PRIMARY KEY (kind, owner, name)
) WITHOUT ROWID;

CREATE TABLE IF NOT EXISTS iam_attached (
    kind  TEXT NOT NULL,
    owner TEXT NOT NULL COLLATE NOCASE,
    arn   TEXT NOT NULL,
    PRIMARY KEY (kind, owner, arn)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS iam_attached_arn ON iam_attached (arn);

CREATE TABLE IF NOT EXISTS iam_policy (
    arn             TEXT PRIMARY KEY COLLATE NOCASE,
    name            TEXT NOT NULL,
    id              TEXT NOT NULL,
    path            TEXT NOT NULL,
    description     TEXT,
    default_version INTEGER NOT NULL,
    last_version    INTEGER NOT NULL,
    created_ms      INTEGER NOT NULL,
    updated_ms      INTEGER NOT NULL,
    tags            TEXT NOT NULL
) WITHOUT ROWID;

CREATE TABLE IF NOT EXISTS iam_policy_version (
    arn        TEXT NOT NULL REFERENCES iam_policy (arn) ON DELETE CASCADE,
    version    INTEGER NOT NULL,
    document   TEXT NOT NULL,
    created_ms INTEGER NOT NULL,
    PRIMARY KEY (arn, version)
) WITHOUT ROWID;

CREATE TABLE IF NOT EXISTS iam_access_key (
    id         TEXT PRIMARY KEY,
    owner      TEXT NOT NULL COLLATE NOCASE REFERENCES iam_user (name),
    secret     TEXT NOT NULL,
    status     TEXT NOT NULL,              -- "Active" or "Inactive"
    created_ms INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS iam_access_key_owner ON iam_access_key (owner);

CREATE TABLE IF NOT EXISTS iam_session (
    access_key TEXT PRIMARY KEY,
    secret     TEXT NOT NULL,
    token      TEXT NOT NULL,
    expires_ms INTEGER NOT NULL,
    kind       TEXT NOT NULL,              -- "role", "user", "root", "federated"
    owner_id   TEXT NOT NULL,              -- of the role or user; a new one of the name is another
    name       TEXT NOT NULL,              -- RoleSessionName
    policies   TEXT NOT NULL,              -- JSON: session policies, [] = none
    tags       TEXT NOT NULL               -- JSON: session tags
) WITHOUT ROWID;
ALTER TABLE iam_session ADD COLUMN claims TEXT NOT NULL DEFAULT '{}'; -- see sessions.Claims
CREATE INDEX IF NOT EXISTS iam_session_expiry ON iam_session (expires_ms);
"""
