-- Triggers, the inbox of events, and what came of them. May run again: a process can end in the middle of it.

-- event_name is event in lower case, for the look-up. after_seq: the inbox's last event when the trigger was made;
-- it fires for later ones only, whatever any clock says. vars is JSON text as it was given, NULL where none were.
CREATE TABLE IF NOT EXISTS triggers (
    id          TEXT    NOT NULL PRIMARY KEY,
    name        TEXT    NOT NULL,
    event       TEXT    NOT NULL,
    event_name  TEXT    NOT NULL,
    workflow_id TEXT    NOT NULL,
    version     TEXT,
    filter      TEXT,
    vars        TEXT,
    created_at  INTEGER NOT NULL,
    after_seq   INTEGER NOT NULL,
    deleted_at  INTEGER
);

CREATE INDEX IF NOT EXISTS triggers_newest ON triggers (created_at, id) WHERE deleted_at IS NULL;
CREATE INDEX IF NOT EXISTS triggers_on_event ON triggers (event_name) WHERE deleted_at IS NULL;

-- One row for each event that was accepted, which is never removed: its key is what makes a repeat a repeat. The envelope may be
-- forgotten once it is processed (NULL).
CREATE TABLE IF NOT EXISTS inbox (
    seq            INTEGER PRIMARY KEY AUTOINCREMENT,
    key            TEXT    NOT NULL UNIQUE,
    type           TEXT    NOT NULL,
    envelope       TEXT,
    received_at    INTEGER NOT NULL,
    processed_at   INTEGER,
    repeats        INTEGER NOT NULL DEFAULT 0,
    last_repeat_at INTEGER
);

CREATE INDEX IF NOT EXISTS inbox_waiting ON inbox (seq) WHERE processed_at IS NULL;
CREATE INDEX IF NOT EXISTS inbox_repeated ON inbox (seq) WHERE repeats > 0;
CREATE INDEX IF NOT EXISTS inbox_kept ON inbox (processed_at) WHERE processed_at IS NOT NULL AND envelope IS NOT NULL;

-- One row for each match of a trigger and an event: the instance it started, or why it started none.
-- depth counts the triggers that led here, one after the other.
CREATE TABLE IF NOT EXISTS occurrences (
    id          TEXT    NOT NULL,
    trigger_id  TEXT    NOT NULL,
    event_key   TEXT    NOT NULL,
    event       TEXT    NOT NULL,
    created_at  INTEGER NOT NULL,
    depth       INTEGER NOT NULL,
    instance_id TEXT,
    error       TEXT,
    PRIMARY KEY (trigger_id, event_key)
) WITHOUT ROWID;

CREATE INDEX IF NOT EXISTS occurrences_newest ON occurrences (trigger_id, created_at, id);
CREATE UNIQUE INDEX IF NOT EXISTS occurrences_of_instance ON occurrences (instance_id) WHERE instance_id IS NOT NULL;

-- How far a source of events was read.
CREATE TABLE IF NOT EXISTS positions (
    source   TEXT    NOT NULL PRIMARY KEY,
    position INTEGER NOT NULL
) WITHOUT ROWID;
