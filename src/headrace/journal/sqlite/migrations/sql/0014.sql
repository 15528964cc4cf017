-- What engines of several processes need. May run again: a process can end in the middle of it.
-- versions/0014_nudges.py adds the columns permitted_at to activities, and engine and generation to journal_state.

-- Instances that a process has to look at. A row stays until a process has looked; an engine within one process writes none.
-- at: when the row counts as overlooked. tries: how often it was repeated. A seq never comes again.
CREATE TABLE IF NOT EXISTS nudges (
    seq         INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    instance_id TEXT    NOT NULL,
    why         TEXT    NOT NULL,
    at          INTEGER NOT NULL,
    tries       INTEGER NOT NULL DEFAULT 0
);

CREATE INDEX IF NOT EXISTS nudges_of_instance ON nudges (instance_id);

CREATE INDEX IF NOT EXISTS nudges_oldest ON nudges (at);
