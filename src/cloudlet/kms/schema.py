"""Tables of keys. Key material is kept wrapped under the data directory's master key.

A key keeps all materials that it ever had: rotation adds one, and what older ones encrypted can
still be decrypted.
"""

SCHEMA = """
CREATE TABLE IF NOT EXISTS kms_key (
    id            TEXT PRIMARY KEY,
    created_ms    INTEGER NOT NULL,
    state         TEXT NOT NULL DEFAULT 'Enabled', -- Disabled, PendingDeletion
    deletion_ms   INTEGER,                         -- when it is due
    description   TEXT NOT NULL DEFAULT '',
    manager       TEXT NOT NULL DEFAULT 'CUSTOMER', -- AWS
    policy        TEXT NOT NULL,                   -- JSON
    tags          TEXT NOT NULL DEFAULT '{}',
    rotation_days INTEGER NOT NULL DEFAULT 0,      -- 0 = it isn't rotated
    rotation_ms   INTEGER                          -- when it is, next
);
CREATE TABLE IF NOT EXISTS kms_material (
    number     INTEGER PRIMARY KEY AUTOINCREMENT,
    id         TEXT NOT NULL UNIQUE,
    key        TEXT NOT NULL REFERENCES kms_key (id) ON DELETE CASCADE,
    created_ms INTEGER NOT NULL,
    wrapped    TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS kms_material_key ON kms_material (key, number);
CREATE TABLE IF NOT EXISTS kms_alias (
    name       TEXT PRIMARY KEY,                   -- with its "alias/"
    key        TEXT NOT NULL REFERENCES kms_key (id) ON DELETE CASCADE,
    created_ms INTEGER NOT NULL,
    updated_ms INTEGER NOT NULL
);
"""
