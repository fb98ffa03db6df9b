"""What the template package keeps: stacks, their resources, custom resources' answers, caches."""

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
CREATE TABLE IF NOT EXISTS template_transforms (
    digest   TEXT PRIMARY KEY,
    document TEXT NOT NULL                  -- the translated template, JSON
);
"""
    + folders.SCHEMA
)
