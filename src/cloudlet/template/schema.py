"""What the template package keeps: stacks, resources, events, operations under way, caches.

`template_stacks` holds the stacks that there are; `template_details` what the API tells of them, of
deleted ones too. A row of `template_operations` is an operation that is not done: the next start
goes on with it.
"""

from cloudlet.template import folders

SCHEMA = (
    """
CREATE TABLE IF NOT EXISTS template_stacks (
    name       TEXT PRIMARY KEY,
    id         TEXT NOT NULL,               -- ARN
    template   TEXT NOT NULL DEFAULT '',    -- path of the file
    status     TEXT NOT NULL,               -- CloudFormation's: CREATE_COMPLETE, …
    outputs    TEXT NOT NULL DEFAULT '{}',  -- JSON
    updated_ms INTEGER NOT NULL
);
CREATE TABLE IF NOT EXISTS template_resources (
    id          INTEGER PRIMARY KEY AUTOINCREMENT,
    stack       TEXT NOT NULL REFERENCES template_stacks (name) ON DELETE CASCADE,
    logical_id  TEXT NOT NULL,
    type        TEXT NOT NULL,
    token       TEXT NOT NULL,              -- the random part of generated names
    physical_id TEXT NOT NULL DEFAULT '',   -- '' = not made yet
    state       TEXT NOT NULL,              -- creating, ready or doomed (to be deleted)
    digest      TEXT NOT NULL DEFAULT '',   -- of the properties; '' = a change was under way
    properties  TEXT NOT NULL DEFAULT '{}', -- resolved, JSON
    attributes  TEXT NOT NULL DEFAULT '{}', -- for Fn::GetAtt, JSON
    policy      TEXT NOT NULL DEFAULT ''    -- DeletionPolicy as given: '', Delete, Retain, …
);
CREATE INDEX IF NOT EXISTS template_resources_stack ON template_resources (stack, logical_id);
CREATE TABLE IF NOT EXISTS template_details (
    id         TEXT PRIMARY KEY,            -- of the stack
    name       TEXT NOT NULL,
    parent     TEXT NOT NULL DEFAULT '',    -- id of the stack that this one is nested in
    created_ms INTEGER NOT NULL,
    deleted_ms INTEGER,
    document   TEXT NOT NULL                -- JSON: template, parameters, tags, …
);
CREATE INDEX IF NOT EXISTS template_details_name ON template_details (name);
CREATE TABLE IF NOT EXISTS template_events (
    number      INTEGER PRIMARY KEY AUTOINCREMENT,
    stack_id    TEXT NOT NULL,
    logical_id  TEXT NOT NULL,
    physical_id TEXT NOT NULL,
    type        TEXT NOT NULL,
    status      TEXT NOT NULL,
    reason      TEXT NOT NULL,
    at_ms       INTEGER NOT NULL
);
CREATE INDEX IF NOT EXISTS template_events_stack ON template_events (stack_id, number);
CREATE TABLE IF NOT EXISTS template_change_sets (
    id       TEXT PRIMARY KEY,              -- ARN
    stack_id TEXT NOT NULL,
    name     TEXT NOT NULL,
    status   TEXT NOT NULL,
    at_ms    INTEGER NOT NULL,
    document TEXT NOT NULL,                 -- JSON: what is to be, the changes
    UNIQUE (stack_id, name)
);
CREATE TABLE IF NOT EXISTS template_operations (
    stack_id TEXT PRIMARY KEY,
    kind     TEXT NOT NULL,                 -- deploy, rollback, delete; failed: waits for a person
    document TEXT NOT NULL                  -- JSON: see operations.py
);
CREATE TABLE IF NOT EXISTS template_exports (
    name     TEXT PRIMARY KEY,
    value    TEXT NOT NULL,
    stack_id TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS template_imports (
    name     TEXT NOT NULL,
    stack_id TEXT NOT NULL,
    PRIMARY KEY (name, stack_id)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS template_transforms (
    digest   TEXT PRIMARY KEY,
    document TEXT NOT NULL                  -- the translated template, JSON
);
"""
    + folders.SCHEMA
)
