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
CREATE TABLE IF NOT EXISTS log_policies (
    name     TEXT PRIMARY KEY,
    document TEXT NOT NULL,
    put_ms   INTEGER NOT NULL
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
CREATE TABLE IF NOT EXISTS alarms (
    name         TEXT PRIMARY KEY,
    kind         TEXT NOT NULL,               -- 'MetricAlarm' or 'CompositeAlarm'
    config       TEXT NOT NULL,               -- what was put, JSON
    state        TEXT NOT NULL,               -- 'OK', 'ALARM' or 'INSUFFICIENT_DATA'
    reason       TEXT NOT NULL,
    reason_data  TEXT NOT NULL DEFAULT '',
    put_ms       INTEGER NOT NULL,
    updated_ms   INTEGER NOT NULL,            -- the state was found or set
    changed_ms   INTEGER NOT NULL,            -- the state became another
    due_ms       INTEGER,                     -- of the next evaluation; NULL: composite
    tags         TEXT NOT NULL DEFAULT '{}'
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS alarms_due ON alarms (due_ms);
CREATE TABLE IF NOT EXISTS alarm_history (
    id      INTEGER PRIMARY KEY AUTOINCREMENT,
    alarm   TEXT NOT NULL,                    -- stays when the alarm goes
    kind    TEXT NOT NULL,
    time_ms INTEGER NOT NULL,
    item    TEXT NOT NULL,                    -- 'ConfigurationUpdate', 'StateUpdate' or 'Action'
    summary TEXT NOT NULL,
    data    TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS alarm_history_order ON alarm_history (alarm, time_ms);
CREATE TABLE IF NOT EXISTS dashboards (
    name       TEXT PRIMARY KEY,
    body       TEXT NOT NULL,
    changed_ms INTEGER NOT NULL,
    tags       TEXT NOT NULL DEFAULT '{}'
) WITHOUT ROWID;
"""
