"""CloudWatch's tables: log groups and their events, metrics and their points."""

SCHEMA = """
CREATE TABLE IF NOT EXISTS log_groups (
    name           TEXT PRIMARY KEY,
    created_ms     INTEGER NOT NULL,
    retention_days INTEGER,
    tags           TEXT NOT NULL DEFAULT '{}'
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS log_streams (
    id         INTEGER PRIMARY KEY,
    log_group  TEXT NOT NULL REFERENCES log_groups ON DELETE CASCADE,
    name       TEXT NOT NULL,
    created_ms INTEGER NOT NULL,
    first_ms   INTEGER,
    last_ms    INTEGER,
    UNIQUE (log_group, name)
);
CREATE TABLE IF NOT EXISTS log_events (
    id          INTEGER PRIMARY KEY AUTOINCREMENT,
    stream      INTEGER NOT NULL REFERENCES log_streams ON DELETE CASCADE,
    time_ms     INTEGER NOT NULL,
    ingested_ms INTEGER NOT NULL,
    message     TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS log_events_order ON log_events (stream, time_ms, id);
CREATE TABLE IF NOT EXISTS log_sizes (        -- what a stream holds: nobody adds up its events
    stream INTEGER PRIMARY KEY REFERENCES log_streams ON DELETE CASCADE,
    bytes  INTEGER NOT NULL
);
CREATE TABLE IF NOT EXISTS log_filters (
    log_group  TEXT NOT NULL REFERENCES log_groups ON DELETE CASCADE,
    kind       TEXT NOT NULL,                 -- 'metric' or 'subscription'
    name       TEXT NOT NULL,
    pattern    TEXT NOT NULL,
    created_ms INTEGER NOT NULL,
    config     TEXT NOT NULL,                 -- a MetricTransformation, or the destination; JSON
    PRIMARY KEY (log_group, kind, name)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS metrics (
    id         INTEGER PRIMARY KEY,
    namespace  TEXT NOT NULL,
    name       TEXT NOT NULL,
    dimensions TEXT NOT NULL,                 -- [[name, value], …], sorted, JSON
    last_ms    INTEGER NOT NULL,              -- of its newest point
    UNIQUE (namespace, name, dimensions)
);
CREATE TABLE IF NOT EXISTS metric_points (
    metric       INTEGER NOT NULL REFERENCES metrics ON DELETE CASCADE,
    start_ms     INTEGER NOT NULL,
    period_s     INTEGER NOT NULL,            -- 1, 60, 300 or 3600: older points are rolled up
    unit         TEXT NOT NULL,
    summary      TEXT NOT NULL,               -- distribution.Summary, JSON
    PRIMARY KEY (metric, start_ms, period_s, unit)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS metric_points_age ON metric_points (period_s, start_ms);
"""
