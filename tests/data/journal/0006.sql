BEGIN TRANSACTION;
CREATE TABLE activities (
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
CREATE TABLE alembic_version (
	version_num VARCHAR(32) NOT NULL, 
	CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
);
INSERT INTO "alembic_version" VALUES('0006');
CREATE TABLE audit (
    seq       INTEGER PRIMARY KEY AUTOINCREMENT,
    at        INTEGER NOT NULL,
    principal TEXT    NOT NULL,
    client_id TEXT,
    operation TEXT    NOT NULL,
    target    TEXT    NOT NULL
);
CREATE TABLE caller_keys (
    key         TEXT    NOT NULL PRIMARY KEY,
    fingerprint BLOB    NOT NULL,
    status      INTEGER NOT NULL,
    body        BLOB    NOT NULL,
    created_at  INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE events (
    seq         INTEGER PRIMARY KEY AUTOINCREMENT,
    instance_id TEXT    NOT NULL,
    name        TEXT    NOT NULL,
    received_at INTEGER NOT NULL,
    stage       INTEGER
);
CREATE TABLE identity (
    id TEXT NOT NULL PRIMARY KEY
) WITHOUT ROWID;
INSERT INTO "identity" VALUES('0123456789abcdef0123456789abcdef');
CREATE TABLE inbox (
    seq            INTEGER PRIMARY KEY AUTOINCREMENT,
    key            TEXT    NOT NULL UNIQUE,
    type           TEXT    NOT NULL,
    envelope       TEXT,
    received_at    INTEGER NOT NULL,
    processed_at   INTEGER,
    repeats        INTEGER NOT NULL DEFAULT 0,
    last_repeat_at INTEGER
, depth INTEGER DEFAULT '0' NOT NULL);
INSERT INTO "inbox" VALUES(1,'id:kept','SAVED_PAYMENT','{"type":"SAVED_PAYMENT","app":"payments","version":"v3.0.0","id":"kept","payload":{"id":"p1","amount":1000000000000000000000000000000}}',30,NULL,0,NULL,0);
INSERT INTO "inbox" VALUES(2,'id:forgotten','SAVED_PAYMENT',NULL,30,40,0,NULL,0);
INSERT INTO "inbox" VALUES(3,'key:K','SAVED_PAYMENT','{"type":"SAVED_PAYMENT","app":"payments","version":"v3.0.0","payload":{"id":"p1","amount":1000000000000000000000000000000}}',30,40,0,NULL,0);
INSERT INTO "inbox" VALUES(4,'key:K:0','SAVED_PAYMENT','{"type":"SAVED_PAYMENT","app":"payments","version":"v3.0.0","payload":{"id":"p1","amount":1000000000000000000000000000000}}',30,40,0,NULL,0);
INSERT INTO "inbox" VALUES(5,'nats:S:1:1','SAVED_PAYMENT','{"type":"SAVED_PAYMENT","app":"payments","version":"v3.0.0","idempotency_key":"bus","payload":{"id":"p1","amount":1000000000000000000000000000000}}',30,40,0,NULL,0);
INSERT INTO "inbox" VALUES(6,'nats:S:1:2','SAVED_PAYMENT','{"type":"SAVED_PAYMENT","app":"payments","version":"v3.0.0","idempotency_key":"bus","payload":{"id":"p1","amount":1000000000000000000000000000000}}',30,40,0,NULL,0);
INSERT INTO "inbox" VALUES(7,'nats:S:1:3','SAVED_PAYMENT',NULL,30,40,0,NULL,0);
INSERT INTO "inbox" VALUES(8,'post:1','SAVED_PAYMENT','{"type":"SAVED_PAYMENT","app":"payments","version":"v3.0.0","payload":{"id":"p1","amount":1000000000000000000000000000000}}',30,40,0,NULL,0);
INSERT INTO "inbox" VALUES(9,'sandbox:s:7','SAVED_PAYMENT','{"type":"SAVED_PAYMENT","app":"payments","version":"v3.0.0","payload":{"id":"p1","amount":1000000000000000000000000000000}}',30,40,0,NULL,0);
CREATE TABLE instances (
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
CREATE TABLE occurrences (
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
CREATE TABLE outbox (
    seq         INTEGER PRIMARY KEY AUTOINCREMENT,
    type        TEXT    NOT NULL,
    happened_at INTEGER NOT NULL,
    payload     TEXT    NOT NULL,
    instance_id TEXT,
    depth       INTEGER
);
CREATE TABLE positions (
    source   TEXT    NOT NULL PRIMARY KEY,
    position INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE set_aside (
    publisher   TEXT    NOT NULL,
    event_id    TEXT    NOT NULL,
    type        TEXT    NOT NULL,
    body        TEXT    NOT NULL,
    reason      TEXT    NOT NULL,
    at          INTEGER NOT NULL,
    PRIMARY KEY (publisher, event_id)
) WITHOUT ROWID;
CREATE TABLE stages (
    instance_id   TEXT    NOT NULL,
    number        INTEGER NOT NULL,
    keyword       TEXT    NOT NULL,
    input         TEXT    NOT NULL,
    started_at    INTEGER NOT NULL,
    terminated_at INTEGER,
    error         TEXT,
    PRIMARY KEY (instance_id, number)
) WITHOUT ROWID;
CREATE TABLE triggers (
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
INSERT INTO "triggers" VALUES('t-old','old','SAVED_PAYMENT','saved_payment','w-old',NULL,NULL,NULL,20,0,NULL);
CREATE TABLE workflows (
    id          TEXT    NOT NULL PRIMARY KEY,
    name        TEXT,
    config      TEXT    NOT NULL,
    created_at  INTEGER NOT NULL,
    updated_at  INTEGER NOT NULL,
    deleted_at  INTEGER
);
INSERT INTO "workflows" VALUES('w-old','old','{"stages":[{"wait_event":{"event":"go"}}],"name":"old"}',1700000000000000,1700000000000000,NULL);
CREATE INDEX workflows_newest ON workflows (created_at, id) WHERE deleted_at IS NULL;
CREATE INDEX instances_newest ON instances (created_at, id);
CREATE INDEX instances_of_workflow ON instances (workflow_id, created_at, id);
CREATE INDEX instances_due ON instances (next_at) WHERE next_at IS NOT NULL;
CREATE INDEX events_of_instance ON events (instance_id, name, seq);
CREATE INDEX caller_keys_oldest ON caller_keys (created_at);
CREATE INDEX triggers_newest ON triggers (created_at, id) WHERE deleted_at IS NULL;
CREATE INDEX triggers_on_event ON triggers (event_name) WHERE deleted_at IS NULL;
CREATE INDEX inbox_waiting ON inbox (seq) WHERE processed_at IS NULL;
CREATE INDEX inbox_repeated ON inbox (seq) WHERE repeats > 0;
CREATE INDEX inbox_kept ON inbox (processed_at) WHERE processed_at IS NOT NULL AND envelope IS NOT NULL;
CREATE INDEX occurrences_newest ON occurrences (trigger_id, created_at, id);
CREATE UNIQUE INDEX occurrences_of_instance ON occurrences (instance_id) WHERE instance_id IS NOT NULL;
CREATE INDEX audit_of_target ON audit (target, seq);
CREATE INDEX audit_of_principal ON audit (principal, seq);
CREATE TRIGGER audit_is_not_changed BEFORE UPDATE ON audit
BEGIN SELECT RAISE(ABORT, 'the audit trail is append-only'); END;
CREATE TRIGGER audit_is_not_removed BEFORE DELETE ON audit
BEGIN SELECT RAISE(ABORT, 'the audit trail is append-only'); END;
CREATE INDEX instances_running ON instances (created_at, id) WHERE terminated_at IS NULL;
CREATE INDEX instances_running_of_workflow ON instances (workflow_id, created_at, id) WHERE terminated_at IS NULL;
CREATE INDEX activities_needing_attention ON activities (instance_id) WHERE needs_attention = 1;
CREATE INDEX set_aside_newest ON set_aside (at);
CREATE INDEX activities_on_metadata ON activities (request_path, request_body, started_at)
    WHERE name = 'AddAccountMetadata';
CREATE INDEX activities_on_initiations ON activities (json_extract(CAST(request_body AS TEXT), '$.scheduledAt'))
    WHERE name = 'CreateTransferInitiation';
DELETE FROM "sqlite_sequence";
INSERT INTO "sqlite_sequence" VALUES('inbox',9);
COMMIT;
