-- Tables whose rows may be long get a rowid. May run again: a process can end in the middle of it.
-- In a table WITHOUT ROWID a row of more than about 1,000 bytes takes a page of its own besides. The first statements
-- create the new tables; versions/0012_rowids.py fills each, drops the old one and renames the new one.

-- Here and in activities a text is a BLOB where it is packed (journal/sqlite/packing.py).
CREATE TABLE IF NOT EXISTS stages_0012 (
    instance_id   TEXT    NOT NULL,
    number        INTEGER NOT NULL,
    keyword       TEXT    NOT NULL,
    input         TEXT    NOT NULL,
    started_at    INTEGER NOT NULL,
    terminated_at INTEGER,
    error         TEXT,
    PRIMARY KEY (instance_id, number)
);

CREATE TABLE IF NOT EXISTS activities_0012 (
    instance_id       TEXT    NOT NULL,
    stage             INTEGER NOT NULL,
    position          INTEGER NOT NULL,
    name              TEXT    NOT NULL,
    input             TEXT    NOT NULL,
    started_at        INTEGER NOT NULL,
    attempt           INTEGER NOT NULL,
    key               TEXT    NOT NULL,
    request_method    TEXT    NOT NULL,
    request_path      TEXT    NOT NULL,
    request_body      BLOB,
    output            TEXT,
    error             TEXT,
    last_failure      TEXT,
    next_execution_at INTEGER,
    needs_attention   INTEGER NOT NULL DEFAULT 0,
    terminated_at     INTEGER,
    PRIMARY KEY (instance_id, stage, position)
);

CREATE TABLE IF NOT EXISTS occurrences_0012 (
    id          TEXT    NOT NULL,
    trigger_id  TEXT    NOT NULL,
    event_key   TEXT    NOT NULL,
    event       TEXT    NOT NULL,
    created_at  INTEGER NOT NULL,
    depth       INTEGER NOT NULL,
    instance_id TEXT,
    error       TEXT,
    PRIMARY KEY (trigger_id, event_key)
);

CREATE TABLE IF NOT EXISTS caller_keys_0012 (
    owner       TEXT    NOT NULL,
    key         TEXT    NOT NULL,
    fingerprint BLOB    NOT NULL,
    status      INTEGER NOT NULL,
    body        BLOB    NOT NULL,
    operation   TEXT    NOT NULL,
    target      TEXT    NOT NULL,
    created_at  INTEGER NOT NULL,
    served_s    INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (owner, key)
);

CREATE TABLE IF NOT EXISTS set_aside_0012 (
    publisher   TEXT    NOT NULL,
    event_id    TEXT    NOT NULL,
    type        TEXT    NOT NULL,
    body        TEXT    NOT NULL,
    reason      TEXT    NOT NULL,
    at          INTEGER NOT NULL,
    served_s    INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (publisher, event_id)
);

-- The indexes of the old tables. That on metadata holds the beginning of a body, not the whole.
CREATE INDEX IF NOT EXISTS activities_needing_attention ON activities (instance_id) WHERE needs_attention = 1;
CREATE INDEX IF NOT EXISTS activities_on_metadata ON activities (request_path, substr(request_body, 1, 64), started_at)
    WHERE name = 'AddAccountMetadata';
CREATE INDEX IF NOT EXISTS activities_on_initiations ON activities (json_extract(CAST(request_body AS TEXT), '$.scheduledAt'))
    WHERE name = 'CreateTransferInitiation';
CREATE INDEX IF NOT EXISTS occurrences_newest ON occurrences (trigger_id, created_at, id);
CREATE UNIQUE INDEX IF NOT EXISTS occurrences_of_instance ON occurrences (instance_id) WHERE instance_id IS NOT NULL;
CREATE INDEX IF NOT EXISTS caller_keys_served ON caller_keys (served_s);
CREATE INDEX IF NOT EXISTS set_aside_newest ON set_aside (at);
CREATE INDEX IF NOT EXISTS set_aside_served ON set_aside (served_s);

-- What the input of a stage is packed with: the variables, and the beginning of the definition. An instance whose config
-- is empty has that of its workflow.
CREATE VIEW IF NOT EXISTS instance_texts AS
SELECT id AS instance_id, variables || substr(
    CASE config WHEN '' THEN (SELECT config FROM workflows WHERE id = instances.workflow_id) ELSE config END, 1, 16384
) AS text FROM instances;
