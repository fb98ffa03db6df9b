"""Tables of topics, subscriptions, mobile endpoints and the account's SMS settings."""

SCHEMA = """
CREATE TABLE IF NOT EXISTS topics (
    name       TEXT PRIMARY KEY,
    created_ms INTEGER NOT NULL,
    attributes TEXT NOT NULL,               -- as set, JSON
    tags       TEXT NOT NULL DEFAULT '{}',
    sequence   INTEGER NOT NULL DEFAULT 0,  -- of FIFO topics' messages
    removed    INTEGER NOT NULL DEFAULT 0   -- subscriptions that were
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS topic_subscriptions (
    id           TEXT PRIMARY KEY,
    topic        TEXT NOT NULL REFERENCES topics ON DELETE CASCADE,
    protocol     TEXT NOT NULL,
    endpoint     TEXT NOT NULL,
    owner        TEXT NOT NULL,              -- account
    principal    TEXT NOT NULL,              -- who subscribed
    attributes   TEXT NOT NULL,              -- as set, JSON
    token        TEXT NOT NULL,
    token_ms     INTEGER NOT NULL,
    state        TEXT NOT NULL,              -- 'pending', 'confirmed'
    is_authenticated INTEGER NOT NULL,       -- whether the confirmation was signed
    locks        INTEGER NOT NULL DEFAULT 0, -- AuthenticateOnUnsubscribe
    UNIQUE (topic, protocol, endpoint)
);
CREATE TABLE IF NOT EXISTS topic_deduplications ( -- what FIFO topics took in the last minutes
    topic      TEXT NOT NULL REFERENCES topics ON DELETE CASCADE,
    scope      TEXT NOT NULL,                -- the message group where each stands alone, or ''
    id         TEXT NOT NULL,
    message_id TEXT NOT NULL,
    sequence   INTEGER NOT NULL,
    sent_ms    INTEGER NOT NULL,
    PRIMARY KEY (topic, scope, id)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS topic_deduplications_age ON topic_deduplications (topic, sent_ms);
CREATE TABLE IF NOT EXISTS platform_applications (
    name       TEXT PRIMARY KEY,             -- 'GCM/chat'
    attributes TEXT NOT NULL
) WITHOUT ROWID;
ALTER TABLE platform_applications ADD COLUMN secret BLOB; -- credential and principal, sealed
CREATE TABLE IF NOT EXISTS platform_endpoints (
    id          TEXT PRIMARY KEY,            -- 'GCM/chat/<uuid>'
    application TEXT NOT NULL REFERENCES platform_applications ON DELETE CASCADE,
    token       TEXT NOT NULL,
    attributes  TEXT NOT NULL,
    UNIQUE (application, token)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS sms_settings (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS sms_opt_outs (
    number     TEXT PRIMARY KEY
) WITHOUT ROWID;
"""
