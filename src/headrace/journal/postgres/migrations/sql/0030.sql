-- Names with versions, and triggers that are kept under a name.

SET LOCAL lock_timeout = '5s';

-- A name that people give to a workflow. current: the number of the version that starts. set_name: the set of `headrace
-- apply` that made it, NULL if none did.
CREATE TABLE IF NOT EXISTS handles (
    name       text   COLLATE "C" PRIMARY KEY,
    current    bigint NOT NULL,
    set_name   text,
    created_at bigint NOT NULL,
    updated_at bigint NOT NULL
);

CREATE INDEX IF NOT EXISTS handles_by_age ON handles (created_at, name);

-- Versions stay when their name is taken away: no number comes again. definition_hash: of its canonical JSON.
CREATE TABLE IF NOT EXISTS versions (
    name            text   COLLATE "C" NOT NULL,
    n               bigint NOT NULL,
    workflow_id     text   COLLATE "C" NOT NULL,
    definition_hash text   NOT NULL,
    created_at      bigint NOT NULL,
    principal       text   NOT NULL,
    PRIMARY KEY (name, n)
);

-- An earlier definition of a trigger. It is for the events after after_seq, up to until_seq; the next one begins there.
CREATE TABLE IF NOT EXISTS former_triggers (
    trigger_id    text   COLLATE "C" NOT NULL,
    revision      bigint NOT NULL,
    event         text   NOT NULL,
    event_name    text   NOT NULL,
    workflow_id   text   COLLATE "C" NOT NULL,
    workflow_name text   COLLATE "C",
    version       text,
    filter        text,
    vars          text,
    after_seq     bigint NOT NULL,
    until_seq     bigint NOT NULL,
    replaced_at   bigint NOT NULL,
    PRIMARY KEY (trigger_id, revision)
);

CREATE INDEX IF NOT EXISTS former_triggers_on_event ON former_triggers (event_name, until_seq);

ALTER TABLE triggers ADD COLUMN IF NOT EXISTS workflow_name text COLLATE "C";
ALTER TABLE triggers ADD COLUMN IF NOT EXISTS handle text COLLATE "C";
ALTER TABLE triggers ADD COLUMN IF NOT EXISTS set_name text;
ALTER TABLE triggers ADD COLUMN IF NOT EXISTS revision bigint NOT NULL DEFAULT 1;

CREATE UNIQUE INDEX IF NOT EXISTS triggers_by_handle ON triggers (handle) WHERE handle IS NOT NULL AND deleted_at IS NULL;

CREATE INDEX IF NOT EXISTS triggers_of_name ON triggers (workflow_name) WHERE workflow_name IS NOT NULL AND deleted_at IS NULL;

-- A server of an earlier schema would start the version that was current when a trigger was made, and would pass over
-- the earlier definition of a trigger that was replaced.
UPDATE journal_state SET works_from = '0030';
