-- The journal on PostgreSQL, first shape: that of SQLite at the same revision. Times are microseconds since 1970-01-01 UTC;
-- amounts live inside JSON text, exact. Ids and keys compare byte by byte (COLLATE "C"), as in every other part of Headrace.
-- JSON is text, never jsonb, which writes numbers anew and refuses \u0000.

CREATE TABLE workflows (
    id         text   COLLATE "C" PRIMARY KEY,
    name       text,
    config     text   NOT NULL,
    created_at bigint NOT NULL,
    updated_at bigint NOT NULL,
    deleted_at bigint
);

CREATE INDEX workflows_newest ON workflows (created_at, id) WHERE deleted_at IS NULL;

-- config: '' where it is the workflow's own. next_at: when the engine must look at the instance: 0 at once, a time, or NULL.
-- trouble: 2 while an activity is tried again, 3 while it needs attention. status: a position in `lists.STATUSES`.
CREATE TABLE instances (
    id            text    COLLATE "C" PRIMARY KEY,
    row           bigint  GENERATED ALWAYS AS IDENTITY,
    workflow_id   text    COLLATE "C" NOT NULL,
    config        text    NOT NULL,
    variables     text    NOT NULL,
    created_at    bigint  NOT NULL,
    updated_at    bigint  NOT NULL,
    terminated_at bigint,
    error         text,
    by_trigger    boolean NOT NULL DEFAULT false,
    next_at       bigint,
    trouble       bigint,
    version       bigint  NOT NULL DEFAULT 0,
    status        bigint  GENERATED ALWAYS AS (
        CASE
            WHEN terminated_at IS NULL THEN coalesce(trouble, CASE next_at WHEN 0 THEN 0 ELSE 1 END)
            WHEN error IS NULL THEN 4
            WHEN error = 'canceled' THEN 6
            ELSE 5
        END
    ) STORED,
    error_code    text    COLLATE "C" GENERATED ALWAYS AS (
        CASE
            WHEN error LIKE '%: %: %' AND split_part(error, ': ', 2) COLLATE "C" ~ '^[A-Z][A-Z0-9_]{0,199}$'
            THEN split_part(error, ': ', 2)
        END
    ) STORED
) WITH (fillfactor = 80);

CREATE INDEX instances_newest ON instances (created_at, id);
CREATE INDEX instances_of_workflow ON instances (workflow_id, created_at, id);
CREATE INDEX instances_due ON instances (next_at, row) WHERE next_at IS NOT NULL;
CREATE INDEX instances_running ON instances (created_at, id) WHERE terminated_at IS NULL;
CREATE INDEX instances_running_of_workflow ON instances (workflow_id, created_at, id) WHERE terminated_at IS NULL;
CREATE INDEX instances_by_status ON instances (status, created_at, id);
CREATE INDEX instances_of_workflow_by_status ON instances (workflow_id, status, created_at, id);
CREATE INDEX instances_by_error ON instances (error_code, created_at, id) WHERE error_code IS NOT NULL;
CREATE INDEX instances_of_workflow_by_error ON instances (workflow_id, error_code, created_at, id) WHERE error_code IS NOT NULL;

-- fingerprint: 64 bits of a hash of a variable's name and value.
CREATE TABLE instance_variables (
    fingerprint bigint NOT NULL,
    created_at  bigint NOT NULL,
    instance_id text   COLLATE "C" NOT NULL,
    PRIMARY KEY (fingerprint, created_at, instance_id)
);

CREATE TABLE stages (
    instance_id   text   COLLATE "C" NOT NULL,
    number        bigint NOT NULL,
    keyword       text   NOT NULL,
    input         text   NOT NULL,
    started_at    bigint NOT NULL,
    terminated_at bigint,
    error         text,
    PRIMARY KEY (instance_id, number)
) WITH (fillfactor = 80);

-- scheduled_at: of the request of a transfer initiation, as its text has it. permitted_at: when the last attempt was
-- permitted to begin.
CREATE TABLE activities (
    instance_id       text    COLLATE "C" NOT NULL,
    stage             bigint  NOT NULL,
    position          bigint  NOT NULL,
    name              text    NOT NULL,
    input             text    NOT NULL,
    started_at        bigint  NOT NULL,
    attempt           bigint  NOT NULL,
    key               text    NOT NULL,
    request_method    text    NOT NULL,
    request_path      text    COLLATE "C" NOT NULL,
    request_body      bytea,
    output            text,
    error             text,
    last_failure      text,
    next_execution_at bigint,
    needs_attention   boolean NOT NULL DEFAULT false,
    terminated_at     bigint,
    scheduled_at      text    COLLATE "C",
    permitted_at      bigint,
    PRIMARY KEY (instance_id, stage, position)
) WITH (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.02);

CREATE INDEX activities_needing_attention ON activities (instance_id) WHERE needs_attention;
CREATE INDEX activities_on_metadata ON activities (request_path, substr(request_body, 1, 64), started_at)
    WHERE name = 'AddAccountMetadata';
CREATE INDEX activities_scheduled ON activities (scheduled_at) WHERE scheduled_at IS NOT NULL;

-- The mailbox. seq is the order of arrival; stage is the wait that consumed the event.
CREATE TABLE events (
    seq         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    instance_id text   COLLATE "C" NOT NULL,
    name        text   COLLATE "C" NOT NULL,
    received_at bigint NOT NULL,
    stage       bigint
);

CREATE INDEX events_of_instance ON events (instance_id, seq);

-- Instances that a process has to look at. A row stays until a process has looked; an engine within one process writes none.
-- at: when the row counts as overlooked. tries: how often it was repeated.
CREATE TABLE nudges (
    seq         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    instance_id text   COLLATE "C" NOT NULL,
    why         text   NOT NULL,
    at          bigint NOT NULL,
    tries       bigint NOT NULL DEFAULT 0
) WITH (autovacuum_vacuum_scale_factor = 0.02);

CREATE INDEX nudges_of_instance ON nudges (instance_id);
CREATE INDEX nudges_oldest ON nudges (at);

-- The response to a caller's Idempotency-Key. served_s here and below: the time served when the row was stored.
CREATE TABLE caller_keys (
    owner       text   COLLATE "C" NOT NULL,
    key         text   COLLATE "C" NOT NULL,
    fingerprint bytea  NOT NULL,
    status      bigint NOT NULL,
    body        bytea  NOT NULL,
    operation   text   NOT NULL,
    target      text   NOT NULL,
    created_at  bigint NOT NULL,
    served_s    bigint NOT NULL DEFAULT 0,
    PRIMARY KEY (owner, key)
);

CREATE INDEX caller_keys_served ON caller_keys (served_s);

-- event_name is event in lower case; name_folded is name without upper and lower case, as Python's str.casefold has it.
CREATE TABLE triggers (
    id          text   COLLATE "C" PRIMARY KEY,
    name        text   NOT NULL,
    event       text   NOT NULL,
    event_name  text   COLLATE "C" NOT NULL,
    workflow_id text   COLLATE "C" NOT NULL,
    version     text,
    filter      text,
    vars        text,
    created_at  bigint NOT NULL,
    after_seq   bigint NOT NULL,
    deleted_at  bigint,
    name_folded text   COLLATE "C" NOT NULL
);

CREATE INDEX triggers_newest ON triggers (created_at, id) WHERE deleted_at IS NULL;
CREATE INDEX triggers_on_event ON triggers (event_name) WHERE deleted_at IS NULL;

-- One row for each event that was accepted, which is never removed. conflicts_with: the event that had its identity before,
-- with another payload; fingerprint: a hash of the payload.
CREATE TABLE inbox (
    seq            bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    key            text   COLLATE "C" NOT NULL UNIQUE,
    type           text   NOT NULL,
    envelope       text,
    received_at    bigint NOT NULL,
    processed_at   bigint,
    repeats        bigint NOT NULL DEFAULT 0,
    last_repeat_at bigint,
    depth          bigint NOT NULL DEFAULT 0,
    fingerprint    bytea,
    conflicts_with bigint,
    served_s       bigint NOT NULL DEFAULT 0
) WITH (autovacuum_vacuum_scale_factor = 0.02);

CREATE INDEX inbox_waiting ON inbox (seq) WHERE processed_at IS NULL;
CREATE INDEX inbox_repeated ON inbox (seq) WHERE repeats > 0;
CREATE INDEX inbox_served ON inbox (served_s) WHERE processed_at IS NOT NULL AND envelope IS NOT NULL;
CREATE INDEX inbox_unidentified ON inbox (seq) WHERE fingerprint IS NULL AND envelope IS NOT NULL;
CREATE INDEX inbox_conflicting ON inbox (seq) WHERE conflicts_with IS NOT NULL;

-- Further identities of an event of the inbox.
CREATE TABLE event_keys (
    key text   COLLATE "C" PRIMARY KEY,
    seq bigint NOT NULL
);

-- One row for each match of a trigger and an event: the instance it started, or why it started none.
CREATE TABLE occurrences (
    id          text   COLLATE "C" NOT NULL,
    trigger_id  text   COLLATE "C" NOT NULL,
    event_key   text   COLLATE "C" NOT NULL,
    event       text   NOT NULL,
    created_at  bigint NOT NULL,
    depth       bigint NOT NULL,
    instance_id text   COLLATE "C",
    error       text,
    PRIMARY KEY (trigger_id, event_key)
);

CREATE INDEX occurrences_newest ON occurrences (trigger_id, created_at, id);
CREATE UNIQUE INDEX occurrences_of_instance ON occurrences (instance_id) WHERE instance_id IS NOT NULL;

-- How far a source of events was read, or how far a publisher has got ("to:..").
CREATE TABLE positions (
    source   text   COLLATE "C" PRIMARY KEY,
    position bigint NOT NULL,
    served_s bigint NOT NULL DEFAULT 0
);

-- The name of the journal, which never changes.
CREATE TABLE identity (
    id text COLLATE "C" PRIMARY KEY
);

INSERT INTO identity (id) SELECT replace(gen_random_uuid()::text, '-', '');

-- Events on their way out. depth counts the triggers that led to it; NULL: as many as led to the instance.
CREATE TABLE outbox (
    seq         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    type        text   NOT NULL,
    happened_at bigint NOT NULL,
    payload     text   NOT NULL,
    instance_id text   COLLATE "C",
    depth       bigint,
    served_s    bigint NOT NULL DEFAULT 0
) WITH (autovacuum_vacuum_scale_factor = 0.02);

CREATE TABLE set_aside (
    publisher text   COLLATE "C" NOT NULL,
    event_id  text   COLLATE "C" NOT NULL,
    type      text   NOT NULL,
    body      text   NOT NULL,
    reason    text   NOT NULL,
    at        bigint NOT NULL,
    served_s  bigint NOT NULL DEFAULT 0,
    PRIMARY KEY (publisher, event_id)
);

CREATE INDEX set_aside_newest ON set_aside (at);
CREATE INDEX set_aside_served ON set_aside (served_s);

-- The types of events that something reads. Events of other types are not stored.
CREATE TABLE wanted (
    type text COLLATE "C" PRIMARY KEY
);

-- One row. engine: which engine drives the instances, 'embedded' or 'temporal';
-- empty: none yet. generation: how often the journal changed its owner. works_from: the oldest
-- revision whose release may work on this schema; a migration that older releases cannot bear raises it. outbox_end: the number of the last event that was ever in the outbox.
CREATE TABLE journal_state (
    id         bigint PRIMARY KEY CHECK (id = 1),
    outbox_end bigint NOT NULL,
    engine     text   NOT NULL DEFAULT '',
    generation bigint NOT NULL DEFAULT 0,
    works_from text   NOT NULL DEFAULT '0015'
);

INSERT INTO journal_state (id, outbox_end) VALUES (1, 0);

-- One row: the seconds that servers have run, and how often a commit was tried.
CREATE TABLE time_served (
    id       bigint PRIMARY KEY CHECK (id = 1),
    served_s bigint NOT NULL,
    probes   bigint NOT NULL DEFAULT 0
);

INSERT INTO time_served (id, served_s) VALUES (1, 0);

CREATE TABLE audit (
    seq       bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at        bigint NOT NULL,
    principal text   COLLATE "C" NOT NULL,
    client_id text,
    operation text   NOT NULL,
    target    text   COLLATE "C" NOT NULL
);

CREATE INDEX audit_of_target ON audit (target, seq);
CREATE INDEX audit_of_principal ON audit (principal, seq);

CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '%', TG_ARGV[0] USING ERRCODE = 'integrity_constraint_violation';
END
$$;

CREATE TRIGGER audit_is_not_changed BEFORE UPDATE OR DELETE ON audit
    FOR EACH ROW EXECUTE FUNCTION refuse_change('the audit trail is append-only');
CREATE TRIGGER audit_is_not_emptied BEFORE TRUNCATE ON audit
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change('the audit trail is append-only');
REVOKE UPDATE, DELETE, TRUNCATE ON audit FROM PUBLIC, CURRENT_USER;

-- A request may be sent again, and instances refer to a definition.
CREATE TRIGGER requests_are_not_changed BEFORE UPDATE OF request_body ON activities
    FOR EACH ROW EXECUTE FUNCTION refuse_change('a text that other rows refer to never changes');
CREATE TRIGGER definitions_are_not_changed BEFORE UPDATE OF config ON workflows
    FOR EACH ROW EXECUTE FUNCTION refuse_change('a text that other rows refer to never changes');
CREATE TRIGGER definitions_are_not_removed BEFORE DELETE ON workflows
    FOR EACH ROW EXECUTE FUNCTION refuse_change('a text that other rows refer to never changes');
CREATE TRIGGER instance_texts_are_not_changed BEFORE UPDATE OF workflow_id, config, variables ON instances
    FOR EACH ROW EXECUTE FUNCTION refuse_change('a text that other rows refer to never changes');

-- One row for each process that has written. batch: the last transaction of it that was committed, counted by the process.
CREATE TABLE writers (
    id    bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    batch bigint NOT NULL DEFAULT 0
) WITH (fillfactor = 20, autovacuum_vacuum_scale_factor = 0.02);
