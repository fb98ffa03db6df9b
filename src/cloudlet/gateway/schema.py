"""Tables of the gateway: one document per API, part of an API, and CloudFront item."""

from cloudlet.gateway import domains

SCHEMA = """
CREATE TABLE IF NOT EXISTS gateway_apis (
    api_id     TEXT PRIMARY KEY,
    created_ms INTEGER NOT NULL,
    document   TEXT NOT NULL              -- members as AWS answers them, JSON
);
CREATE TABLE IF NOT EXISTS gateway_parts (
    api_id   TEXT NOT NULL REFERENCES gateway_apis ON DELETE CASCADE,
    kind     TEXT NOT NULL,               -- route, integration, stage, deployment, …
    id       TEXT NOT NULL,
    parent   TEXT NOT NULL DEFAULT '',    -- the route of a route response
    document TEXT NOT NULL,
    PRIMARY KEY (api_id, kind, id)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS cloudfront_items (
    kind        TEXT NOT NULL,            -- distribution, origin-access-control, …
    id          TEXT NOT NULL,
    etag        TEXT NOT NULL,
    created_ms  INTEGER NOT NULL,
    modified_ms INTEGER NOT NULL,
    document    TEXT NOT NULL,            -- the item's configuration, JSON
    tags        TEXT NOT NULL DEFAULT '{}',
    PRIMARY KEY (kind, id)
) WITHOUT ROWID;
"""

SCHEMA += domains.SCHEMA
