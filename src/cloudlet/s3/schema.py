"""S3's tables. Keys are TEXT with SQLite's BINARY collation: the order of their UTF-8 bytes.

Rows that listings read stay short: contents live in `s3_content` (small ones) or in blobs, and the
long columns come last, where SQLite needs no overflow page to reach the ones before them.
`s3_object` has current versions only, and none for a key whose newest version is a delete marker.
Columns that came later are added by ALTER TABLE, in databases of any age.
"""

from cloudlet.store.memory import watched

_TABLES = """
CREATE TABLE IF NOT EXISTS s3_sequence (value INTEGER NOT NULL);
INSERT INTO s3_sequence SELECT 0 WHERE NOT EXISTS (SELECT 1 FROM s3_sequence);

CREATE TABLE IF NOT EXISTS s3_master (fingerprint TEXT NOT NULL); -- of the key of all keys

CREATE TABLE IF NOT EXISTS s3_bucket (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    name       TEXT NOT NULL UNIQUE,
    region     TEXT NOT NULL,
    created_ms INTEGER NOT NULL
);

CREATE TABLE IF NOT EXISTS s3_setting (
    bucket   INTEGER NOT NULL REFERENCES s3_bucket (id) ON DELETE CASCADE,
    name     TEXT NOT NULL,             -- "cors", "policy", "lifecycle", …
    document TEXT NOT NULL,             -- JSON with AWS's member names
    PRIMARY KEY (bucket, name)
) WITHOUT ROWID;

CREATE TABLE IF NOT EXISTS s3_account_block (document TEXT NOT NULL); -- at most one: JSON

ALTER TABLE s3_bucket ADD COLUMN versioning TEXT NOT NULL DEFAULT ''; -- Enabled, Suspended
ALTER TABLE s3_bucket ADD COLUMN encryption TEXT NOT NULL DEFAULT ''; -- JSON: the default's rule
ALTER TABLE s3_bucket ADD COLUMN ownership TEXT NOT NULL DEFAULT 'BucketOwnerEnforced'; -- '' = none

CREATE TABLE IF NOT EXISTS s3_object (
    bucket      INTEGER NOT NULL REFERENCES s3_bucket (id),
    key         TEXT NOT NULL,
    size        INTEGER NOT NULL,
    etag        TEXT NOT NULL,          -- without quotes
    modified_ms INTEGER NOT NULL,
    version     INTEGER NOT NULL,       -- from s3_sequence: rises with every write
    checksum    TEXT NOT NULL,          -- JSON: [algorithm, type, value]
    content     INTEGER,                -- s3_content.id, for small objects
    tags        TEXT NOT NULL,          -- JSON: {key: value}
    upload      TEXT NOT NULL DEFAULT '', -- the multipart upload it came from
    version_id  TEXT NOT NULL DEFAULT '', -- '' = null
    encryption  TEXT NOT NULL DEFAULT '{}', -- JSON: output members
    traits      TEXT NOT NULL DEFAULT '{}', -- JSON: see traits.py
    headers     TEXT NOT NULL,          -- JSON: ContentType, CacheControl, …
    metadata    TEXT NOT NULL,          -- JSON: {name: value}
    parts       TEXT NOT NULL,          -- JSON: [[number, size, checksum value], …]
    segments    TEXT NOT NULL,          -- JSON: [[blob, offset, length, wrapped key], …]
    PRIMARY KEY (bucket, key)
) WITHOUT ROWID;
-- Of keys alone, many in a page: leaps from one common prefix to the next touch little memory.
-- Only who asks for `bucket <> 0` gets it: for rows the way over it would be longer.
CREATE INDEX IF NOT EXISTS s3_object_key ON s3_object (bucket, key) WHERE bucket <> 0;

ALTER TABLE s3_object ADD COLUMN version_id TEXT NOT NULL DEFAULT '';
ALTER TABLE s3_object ADD COLUMN encryption TEXT NOT NULL DEFAULT '{}';
ALTER TABLE s3_object ADD COLUMN traits TEXT NOT NULL DEFAULT '{}';

-- Versions that aren't current, and delete markers (etag ''), current ones too (noncurrent_ms 0).
CREATE TABLE IF NOT EXISTS s3_version (
    bucket        INTEGER NOT NULL REFERENCES s3_bucket (id),
    key           TEXT NOT NULL,
    version       INTEGER NOT NULL,
    version_id    TEXT NOT NULL,
    noncurrent_ms INTEGER NOT NULL,     -- since when
    size          INTEGER NOT NULL,
    etag          TEXT NOT NULL,
    modified_ms   INTEGER NOT NULL,
    checksum      TEXT NOT NULL,
    content       INTEGER,
    tags          TEXT NOT NULL,
    upload        TEXT NOT NULL,
    encryption    TEXT NOT NULL DEFAULT '{}',
    traits        TEXT NOT NULL DEFAULT '{}',
    headers       TEXT NOT NULL,
    metadata      TEXT NOT NULL,
    parts         TEXT NOT NULL,
    segments      TEXT NOT NULL,
    PRIMARY KEY (bucket, key, version DESC)
) WITHOUT ROWID;
ALTER TABLE s3_version ADD COLUMN encryption TEXT NOT NULL DEFAULT '{}';
ALTER TABLE s3_version ADD COLUMN traits TEXT NOT NULL DEFAULT '{}';
CREATE UNIQUE INDEX IF NOT EXISTS s3_version_null ON s3_version (bucket, key)
    WHERE version_id = '';

CREATE TABLE IF NOT EXISTS s3_content (
    id   INTEGER PRIMARY KEY AUTOINCREMENT,
    data BLOB NOT NULL
);
ALTER TABLE s3_content ADD COLUMN key TEXT NOT NULL DEFAULT ''; -- wrapped; '' = data is plain

ALTER TABLE s3_content ADD COLUMN sum INTEGER; -- CRC32C of data; none in rows from before

-- Where the search for damage is; one row at most: see scrub.py.
CREATE TABLE IF NOT EXISTS s3_scrub (document TEXT NOT NULL);

-- How many rows (objects, parts) hold a blob: copies share the bytes of their source.
CREATE TABLE IF NOT EXISTS s3_blob (
    blob TEXT PRIMARY KEY,
    uses INTEGER NOT NULL
) WITHOUT ROWID;

CREATE TABLE IF NOT EXISTS s3_upload (
    id         TEXT PRIMARY KEY,
    bucket     INTEGER NOT NULL REFERENCES s3_bucket (id),
    key        TEXT NOT NULL,
    created_ms INTEGER NOT NULL,
    initiator  TEXT NOT NULL,
    algorithm  TEXT NOT NULL,           -- of checksums; '' = none was asked for
    type       TEXT NOT NULL,           -- FULL_OBJECT or COMPOSITE
    tags       TEXT NOT NULL,
    headers    TEXT NOT NULL,
    metadata   TEXT NOT NULL
);
ALTER TABLE s3_upload ADD COLUMN encryption TEXT NOT NULL DEFAULT '{}';
ALTER TABLE s3_upload ADD COLUMN traits TEXT NOT NULL DEFAULT '{}';
ALTER TABLE s3_upload ADD COLUMN disturbed INTEGER NOT NULL DEFAULT 0; -- its key changed since
CREATE INDEX IF NOT EXISTS s3_upload_order ON s3_upload (bucket, key, created_ms, id);
CREATE INDEX IF NOT EXISTS s3_upload_age ON s3_upload (bucket, created_ms);

-- Archived objects being restored, and restored copies: what is due when (see archive.py).
CREATE TABLE IF NOT EXISTS s3_restore (
    bucket  INTEGER NOT NULL REFERENCES s3_bucket (id) ON DELETE CASCADE,
    key     TEXT NOT NULL,
    version INTEGER NOT NULL,
    due_ms  INTEGER NOT NULL,
    PRIMARY KEY (bucket, key, version)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS s3_restore_due ON s3_restore (due_ms);

CREATE TABLE IF NOT EXISTS s3_part (
    upload      TEXT NOT NULL REFERENCES s3_upload (id) ON DELETE CASCADE,
    number      INTEGER NOT NULL,
    size        INTEGER NOT NULL,
    etag        TEXT NOT NULL,
    modified_ms INTEGER NOT NULL,
    checksum    TEXT NOT NULL,          -- base64, of the upload's algorithm
    segments    TEXT NOT NULL,
    PRIMARY KEY (upload, number)
) WITHOUT ROWID;
"""
SCHEMA = _TABLES + watched("s3_bucket", "s3_setting", "s3_account_block")
