"""Tables of queues, event buses, rules and schedules."""

SCHEMA = """
CREATE TABLE IF NOT EXISTS queues (
    name        TEXT PRIMARY KEY,
    created_ms  INTEGER NOT NULL,
    modified_ms INTEGER NOT NULL,
    attributes  TEXT NOT NULL,             -- as set, JSON
    tags        TEXT NOT NULL DEFAULT '{}',
    purged_ms   INTEGER NOT NULL DEFAULT 0
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS queue_messages (
    id          INTEGER PRIMARY KEY AUTOINCREMENT,
    queue       TEXT NOT NULL REFERENCES queues ON DELETE CASCADE,
    message_id  TEXT NOT NULL,
    body        TEXT NOT NULL,
    attributes  TEXT NOT NULL DEFAULT '{}', -- message attributes, JSON, binary as base64
    system      TEXT NOT NULL DEFAULT '{}', -- AWSTraceHeader, DeadLetterQueueSourceArn, SenderId
    sent_ms     INTEGER NOT NULL,
    visible_ms  INTEGER NOT NULL,
    receives    INTEGER NOT NULL DEFAULT 0,
    received_ms INTEGER,                    -- first time
    receipt     TEXT
);
CREATE INDEX IF NOT EXISTS queue_messages_visible ON queue_messages (queue, visible_ms);
CREATE INDEX IF NOT EXISTS queue_messages_sent ON queue_messages (sent_ms);
CREATE TABLE IF NOT EXISTS event_buses (
    name        TEXT PRIMARY KEY,
    created_ms  INTEGER NOT NULL,
    description TEXT NOT NULL DEFAULT '',
    tags        TEXT NOT NULL DEFAULT '{}'
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS event_rules (
    bus      TEXT NOT NULL,
    name     TEXT NOT NULL,
    document TEXT NOT NULL,                 -- members of DescribeRule, JSON
    tags     TEXT NOT NULL DEFAULT '{}',
    due_ms   INTEGER,                       -- next turn of an enabled schedule
    PRIMARY KEY (bus, name)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS event_rules_due ON event_rules (due_ms) WHERE due_ms IS NOT NULL;
CREATE TABLE IF NOT EXISTS event_targets (
    bus      TEXT NOT NULL,
    rule     TEXT NOT NULL,
    id       TEXT NOT NULL,
    document TEXT NOT NULL,
    PRIMARY KEY (bus, rule, id),
    FOREIGN KEY (bus, rule) REFERENCES event_rules ON DELETE CASCADE
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS schedule_groups (
    name        TEXT PRIMARY KEY,
    created_ms  INTEGER NOT NULL,
    modified_ms INTEGER NOT NULL,
    tags        TEXT NOT NULL DEFAULT '{}'
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS schedules (
    group_name TEXT NOT NULL,
    name       TEXT NOT NULL,
    document   TEXT NOT NULL,               -- members of GetSchedule, JSON
    due_ms     INTEGER,
    PRIMARY KEY (group_name, name)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS schedules_due ON schedules (due_ms) WHERE due_ms IS NOT NULL;
"""
