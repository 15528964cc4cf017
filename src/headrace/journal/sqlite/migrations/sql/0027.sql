-- Batches: many runs, redrives, undos or aborts under one decision. May run again: a process can end in the middle of it.

-- selection: the filter as JSON. state: previewing, ready, running, paused, done or canceled. planned: items that the
-- preview has seen. claim: the preview that may write. open: items that are started and not over. streak: items that
-- have failed in a row. summary: totals and exclusions as JSON. why: of a pause. starter: the principal that started it.
CREATE TABLE IF NOT EXISTS batches (
    id         TEXT    NOT NULL PRIMARY KEY,
    kind       TEXT    NOT NULL,
    selection  TEXT,
    rate       INTEGER NOT NULL,
    max_open   INTEGER NOT NULL,
    stop_after INTEGER NOT NULL,
    reason     TEXT    NOT NULL,
    principal  TEXT    NOT NULL,
    created_at INTEGER NOT NULL,
    items      INTEGER NOT NULL,
    state      TEXT    NOT NULL,
    planned    INTEGER NOT NULL,
    claim      TEXT    NOT NULL,
    open       INTEGER NOT NULL,
    streak     INTEGER NOT NULL,
    hash       TEXT,
    summary    TEXT,
    why        TEXT,
    starter    TEXT,
    started_at INTEGER,
    ended_at   INTEGER
);

CREATE INDEX IF NOT EXISTS batches_by_age ON batches (created_at, id);

-- Few batches are ever under way: those that a driver looks at.
CREATE INDEX IF NOT EXISTS batches_under_way ON batches (id) WHERE state IN ('previewing', 'running') OR open > 0;

-- instance_id: the instance that an item continues, undoes or aborts. run: the start of a new one, as JSON. hash,
-- document: of its plan; the document moves to `plans` when the item starts. state: pending, started, succeeded, failed,
-- skipped or excluded. made_id: the new instance.
CREATE TABLE IF NOT EXISTS batch_items (
    batch_id    TEXT    NOT NULL,
    n           INTEGER NOT NULL,
    instance_id TEXT,
    run         TEXT,
    hash        TEXT,
    document    TEXT,
    state       TEXT    NOT NULL,
    code        TEXT,
    message     TEXT,
    made_id     TEXT,
    started_at  INTEGER,
    ended_at    INTEGER,
    PRIMARY KEY (batch_id, n)
);

CREATE INDEX IF NOT EXISTS batch_items_by_state ON batch_items (batch_id, state, n);
