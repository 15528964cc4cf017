-- Batches: many runs, redrives, undos or aborts under one decision.

-- selection: the filter as JSON. state: previewing, ready, running, paused, done or canceled. planned: items that the
-- preview has seen. claim: the preview that may write. open: items that are started and not over. streak: items that
-- have failed in a row. summary: totals and exclusions as JSON. why: of a pause. starter: the principal that started it.
CREATE TABLE IF NOT EXISTS batches (
    id         text   COLLATE "C" PRIMARY KEY,
    kind       text   NOT NULL,
    selection  text,
    rate       bigint NOT NULL,
    max_open   bigint NOT NULL,
    stop_after bigint NOT NULL,
    reason     text   NOT NULL,
    principal  text   NOT NULL,
    created_at bigint NOT NULL,
    items      bigint NOT NULL,
    state      text   NOT NULL,
    planned    bigint NOT NULL,
    claim      text   NOT NULL,
    open       bigint NOT NULL,
    streak     bigint NOT NULL,
    hash       text,
    summary    text,
    why        text,
    starter    text,
    started_at bigint,
    ended_at   bigint
);

CREATE INDEX IF NOT EXISTS batches_by_age ON batches (created_at, id);

-- Few batches are ever under way: those that a driver looks at.
CREATE INDEX IF NOT EXISTS batches_under_way ON batches (id) WHERE state IN ('previewing', 'running') OR open > 0;

-- instance_id: the instance that an item continues, undoes or aborts. run: the start of a new one, as JSON. hash,
-- document: of its plan; the document moves to `plans` when the item starts. state: pending, started, succeeded, failed,
-- skipped or excluded. made_id: the new instance.
CREATE TABLE IF NOT EXISTS batch_items (
    batch_id    text   COLLATE "C" NOT NULL,
    n           bigint NOT NULL,
    instance_id text   COLLATE "C",
    run         text,
    hash        text,
    document    text,
    state       text   NOT NULL,
    code        text,
    message     text,
    made_id     text   COLLATE "C",
    started_at  bigint,
    ended_at    bigint,
    PRIMARY KEY (batch_id, n)
);

CREATE INDEX IF NOT EXISTS batch_items_by_state ON batch_items (batch_id, state, n);
