-- A journal that the third release left behind: as 0002, with an event of ours that nobody has taken over yet.
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
INSERT INTO "alembic_version" VALUES('0003');
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
INSERT INTO "events" VALUES(1,'00000000-0000-7000-8000-000000000002','go',1795548646085961,0);
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
INSERT INTO "inbox" VALUES(1,'id:before','SAVED_PAYMENT','{"type":"SAVED_PAYMENT","app":"payments","payload":{"amount":100}}',30,NULL,0,NULL,0);
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
INSERT INTO "instances" VALUES('00000000-0000-7000-8000-000000000001','w-old','{"stages":[{"wait_event":{"event":"go"}},{"delay":{"duration":"1ms"}}],"name":"old"}','{"a":"1"}',1795548646082231,1795548646082339,NULL,NULL,0,NULL);
INSERT INTO "instances" VALUES('00000000-0000-7000-8000-000000000002','w-old','{"stages":[{"wait_event":{"event":"go"}},{"delay":{"duration":"1ms"}}],"name":"old"}','{}',1795548646084211,1795548646097877,1795548646097877,NULL,0,NULL);
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
INSERT INTO "outbox" VALUES(1,'STARTED_WORKFLOW',1700000000000000,'{}',NULL,2);
CREATE TABLE positions (
    source   TEXT    NOT NULL PRIMARY KEY,
    position INTEGER NOT NULL
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
INSERT INTO "stages" VALUES('00000000-0000-7000-8000-000000000001',0,'wait_event','{"event":"go"}',1795548646082231,NULL,NULL);
INSERT INTO "stages" VALUES('00000000-0000-7000-8000-000000000002',0,'wait_event','{"event":"go"}',1795548646084211,1795548646093783,NULL);
INSERT INTO "stages" VALUES('00000000-0000-7000-8000-000000000002',1,'delay','{"duration":"1ms"}',1795548646093783,1795548646097877,NULL);
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
INSERT INTO "workflows" VALUES('w-old','old','{"stages":[{"wait_event":{"event":"go"}},{"delay":{"duration":"1ms"}}],"name":"old"}',1700000000000000,1700000000000000,NULL);
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
DELETE FROM "sqlite_sequence";
INSERT INTO "sqlite_sequence" VALUES('events',1);
INSERT INTO "sqlite_sequence" VALUES('inbox',1);
INSERT INTO "sqlite_sequence" VALUES('outbox',1);
COMMIT;
