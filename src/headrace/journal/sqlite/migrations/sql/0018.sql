-- Plans of runs: what would happen, for a person to sign. May run again: a process can end in the middle of it.

-- document: the plan as JSON. subject: what it is a plan of, as JSON. state: open, approved, rejected, expired or used.
-- instance_id: the instance that the plan has started.
CREATE TABLE IF NOT EXISTS plans (
    id          TEXT    NOT NULL PRIMARY KEY,
    hash        TEXT    NOT NULL,
    document    TEXT    NOT NULL,
    subject     TEXT    NOT NULL,
    requester   TEXT    NOT NULL,
    created_at  INTEGER NOT NULL,
    expires_at  INTEGER NOT NULL,
    state       TEXT    NOT NULL,
    instance_id TEXT
);

CREATE INDEX IF NOT EXISTS plans_by_age ON plans (created_at, id);

CREATE UNIQUE INDEX IF NOT EXISTS plans_by_instance ON plans (instance_id) WHERE instance_id IS NOT NULL;
