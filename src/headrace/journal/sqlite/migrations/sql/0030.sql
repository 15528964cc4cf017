-- Names with versions, and triggers that are kept under a name. May run again: a process can end in the middle of it.
-- versions/0030_names.py adds the columns of triggers before these.

-- A name that people give to a workflow. current: the number of the version that starts. set_name: the set of `headrace
-- apply` that made it, NULL if none did.
CREATE TABLE IF NOT EXISTS handles (
    name       TEXT    NOT NULL PRIMARY KEY,
    current    INTEGER NOT NULL,
    set_name   TEXT,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL
);

CREATE INDEX IF NOT EXISTS handles_by_age ON handles (created_at, name);

-- Versions stay when their name is taken away: no number comes again. definition_hash: of its canonical JSON.
CREATE TABLE IF NOT EXISTS versions (
    name            TEXT    NOT NULL,
    n               INTEGER NOT NULL,
    workflow_id     TEXT    NOT NULL,
    definition_hash TEXT    NOT NULL,
    created_at      INTEGER NOT NULL,
    principal       TEXT    NOT NULL,
    PRIMARY KEY (name, n)
);

-- An earlier definition of a trigger. It is for the events after after_seq, up to until_seq; the next one begins there.
CREATE TABLE IF NOT EXISTS former_triggers (
    trigger_id    TEXT    NOT NULL,
    revision      INTEGER NOT NULL,
    event         TEXT    NOT NULL,
    event_name    TEXT    NOT NULL,
    workflow_id   TEXT    NOT NULL,
    workflow_name TEXT,
    version       TEXT,
    filter        TEXT,
    vars          TEXT,
    after_seq     INTEGER NOT NULL,
    until_seq     INTEGER NOT NULL,
    replaced_at   INTEGER NOT NULL,
    PRIMARY KEY (trigger_id, revision)
);

CREATE INDEX IF NOT EXISTS former_triggers_on_event ON former_triggers (event_name, until_seq);

CREATE UNIQUE INDEX IF NOT EXISTS triggers_by_handle ON triggers (handle) WHERE handle IS NOT NULL AND deleted_at IS NULL;

CREATE INDEX IF NOT EXISTS triggers_of_name ON triggers (workflow_name) WHERE workflow_name IS NOT NULL AND deleted_at IS NULL;
