-- The journal, first shape. May run again: a process can end in the middle of it.
-- Times are microseconds since 1970-01-01 UTC; amounts live inside JSON text, exact.

CREATE TABLE IF NOT EXISTS workflows (
    id          TEXT    NOT NULL PRIMARY KEY,
    name        TEXT,
    config      TEXT    NOT NULL,
    created_at  INTEGER NOT NULL,
    updated_at  INTEGER NOT NULL,
    deleted_at  INTEGER
);

CREATE INDEX IF NOT EXISTS workflows_newest ON workflows (created_at, id) WHERE deleted_at IS NULL;

-- next_at: when the engine must look at the instance. 0: at once (it has something to do now);
-- a time: a delay ends then; NULL: an event, a person or nothing is awaited.
CREATE TABLE IF NOT EXISTS instances (
    id            TEXT    NOT NULL PRIMARY KEY,
    workflow_id   TEXT    NOT NULL,
    config        TEXT    NOT NULL,
    variables     TEXT    NOT NULL,
    created_at    INTEGER NOT NULL,
    updated_at    INTEGER NOT NULL,
    terminated_at INTEGER,
    error         TEXT,
    by_trigger    INTEGER NOT NULL DEFAULT 0,
    next_at       INTEGER
);

CREATE INDEX IF NOT EXISTS instances_newest ON instances (created_at, id);
CREATE INDEX IF NOT EXISTS instances_of_workflow ON instances (workflow_id, created_at, id);
CREATE INDEX IF NOT EXISTS instances_due ON instances (next_at) WHERE next_at IS NOT NULL;

CREATE TABLE IF NOT EXISTS stages (
    instance_id   TEXT    NOT NULL,
    number        INTEGER NOT NULL,
    keyword       TEXT    NOT NULL,
    input         TEXT    NOT NULL,
    started_at    INTEGER NOT NULL,
    terminated_at INTEGER,
    error         TEXT,
    PRIMARY KEY (instance_id, number)
) WITHOUT ROWID;

CREATE TABLE IF NOT EXISTS activities (
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
) WITHOUT ROWID;

-- The mailbox. seq is the order of arrival; stage is the wait that consumed the event.
CREATE TABLE IF NOT EXISTS events (
    seq         INTEGER PRIMARY KEY AUTOINCREMENT,
    instance_id TEXT    NOT NULL,
    name        TEXT    NOT NULL,
    received_at INTEGER NOT NULL,
    stage       INTEGER
);

CREATE INDEX IF NOT EXISTS events_of_instance ON events (instance_id, name, seq);

-- What was answered to a caller's Idempotency-Key.
CREATE TABLE IF NOT EXISTS caller_keys (
    key         TEXT    NOT NULL PRIMARY KEY,
    fingerprint BLOB    NOT NULL,
    status      INTEGER NOT NULL,
    body        BLOB    NOT NULL,
    created_at  INTEGER NOT NULL
) WITHOUT ROWID;

CREATE INDEX IF NOT EXISTS caller_keys_oldest ON caller_keys (created_at);
