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
    body        TEXT NOT NULL,             -- sealed: a blob
    attributes  TEXT NOT NULL DEFAULT '{}', -- message attributes, JSON, binary as base64
    system      TEXT NOT NULL DEFAULT '{}', -- AWSTraceHeader, DeadLetterQueueSourceArn, SenderId
    sent_ms     INTEGER NOT NULL,
    visible_ms  INTEGER NOT NULL,
    receives    INTEGER NOT NULL DEFAULT 0,
    received_ms INTEGER,                    -- first time
    receipt     TEXT
);
ALTER TABLE queue_messages ADD COLUMN group_id TEXT;   -- of FIFO queues alone
ALTER TABLE queue_messages ADD COLUMN attempt TEXT;    -- ReceiveRequestAttemptId
ALTER TABLE queue_messages ADD COLUMN tenant TEXT;     -- the message group, of standard queues
CREATE INDEX IF NOT EXISTS queue_messages_tenant ON queue_messages (queue, tenant, visible_ms)
    WHERE tenant IS NOT NULL;
CREATE INDEX IF NOT EXISTS queue_messages_loud ON queue_messages (queue, tenant, visible_ms)
    WHERE tenant IS NOT NULL AND receives > 0;
ALTER TABLE queue_messages ADD COLUMN taken_ms INTEGER; -- last time
DROP INDEX IF EXISTS queue_messages_group;
CREATE INDEX IF NOT EXISTS queue_messages_line ON queue_messages (queue, group_id) -- by id, again
    WHERE group_id IS NOT NULL;
CREATE INDEX IF NOT EXISTS queue_messages_out ON queue_messages (queue, group_id, visible_ms)
    WHERE group_id IS NOT NULL AND taken_ms IS NOT NULL;
CREATE INDEX IF NOT EXISTS queue_messages_order ON queue_messages (queue); -- by id, that is
CREATE INDEX IF NOT EXISTS queue_messages_received ON queue_messages (queue, receives)
    WHERE receives > 0;
CREATE TABLE IF NOT EXISTS queue_deduplications ( -- what FIFO queues took in the last minutes
    queue   TEXT NOT NULL REFERENCES queues ON DELETE CASCADE,
    scope   TEXT NOT NULL,                  -- the message group where each stands alone, or ''
    id      TEXT NOT NULL,
    message INTEGER NOT NULL,
    message_id TEXT NOT NULL,
    sent_ms INTEGER NOT NULL,
    PRIMARY KEY (queue, scope, id)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS message_moves (
    handle      TEXT PRIMARY KEY,
    source      TEXT NOT NULL,
    destination TEXT,                       -- NULL = back to each message's own queue
    rate        INTEGER,                    -- a second
    state       TEXT NOT NULL DEFAULT 'RUNNING',
    moved       INTEGER NOT NULL DEFAULT 0,
    total       INTEGER NOT NULL,
    last_id     INTEGER NOT NULL,           -- of the messages that were there at the start
    started_ms  INTEGER NOT NULL,
    failure     TEXT
);
CREATE INDEX IF NOT EXISTS queue_messages_visible ON queue_messages (queue, visible_ms);
CREATE INDEX IF NOT EXISTS queue_messages_sent ON queue_messages (sent_ms);
CREATE TABLE IF NOT EXISTS event_buses (
    name        TEXT PRIMARY KEY,
    created_ms  INTEGER NOT NULL,
    description TEXT NOT NULL DEFAULT '',
    tags        TEXT NOT NULL DEFAULT '{}'
) WITHOUT ROWID;
ALTER TABLE event_buses ADD COLUMN policy TEXT; -- JSON
ALTER TABLE event_buses ADD COLUMN modified_ms INTEGER;
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
ALTER TABLE event_targets ADD COLUMN place INTEGER;  -- among its rule's: the order they were put in
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
ALTER TABLE schedules ADD COLUMN turn_ms INTEGER;  -- whose the due time is, within its window
ALTER TABLE schedules ADD COLUMN token TEXT;       -- of the client that created it
CREATE TABLE IF NOT EXISTS event_archives (
    name     TEXT PRIMARY KEY,
    bus      TEXT NOT NULL,
    document TEXT NOT NULL                  -- members of DescribeArchive, JSON
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS archived_events (
    id      INTEGER PRIMARY KEY AUTOINCREMENT,
    archive TEXT NOT NULL REFERENCES event_archives ON DELETE CASCADE,
    time_ms INTEGER NOT NULL,               -- the event's own
    kept_ms INTEGER NOT NULL,
    event   BLOB NOT NULL
);
CREATE INDEX IF NOT EXISTS archived_events_time ON archived_events (archive, time_ms, id);
CREATE TABLE IF NOT EXISTS event_replays (
    name       TEXT PRIMARY KEY,
    archive    TEXT NOT NULL,
    is_running INTEGER NOT NULL,
    time_ms    INTEGER NOT NULL,            -- of the last event that was replayed, and its id
    event_id   INTEGER NOT NULL DEFAULT 0,
    last_id    INTEGER NOT NULL,            -- of the events that were kept at the start
    document   TEXT NOT NULL                -- members of DescribeReplay, JSON
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS event_connections (
    name     TEXT PRIMARY KEY,
    document TEXT NOT NULL,                 -- what is told of it, JSON
    key      TEXT,                          -- wrapped
    secret   BLOB                           -- all its parameters, sealed
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS api_destinations (
    name     TEXT PRIMARY KEY,
    document TEXT NOT NULL
) WITHOUT ROWID;
"""
