-- Callers' keys belong to a caller. Rows of earlier releases name none: `owner` is then '~', for any caller, which sorts last.
CREATE TABLE IF NOT EXISTS caller_keys_0008 (
    owner       TEXT    NOT NULL,
    key         TEXT    NOT NULL,
    fingerprint BLOB    NOT NULL,
    status      INTEGER NOT NULL,
    body        BLOB    NOT NULL,
    operation   TEXT    NOT NULL,
    target      TEXT    NOT NULL,
    created_at  INTEGER NOT NULL,
    PRIMARY KEY (owner, key)
) WITHOUT ROWID;

INSERT OR IGNORE INTO caller_keys_0008 (owner, key, fingerprint, status, body, operation, target, created_at)
SELECT '~', key, fingerprint, status, body, '', '', created_at FROM caller_keys;

DROP TABLE caller_keys;

ALTER TABLE caller_keys_0008 RENAME TO caller_keys;

CREATE INDEX IF NOT EXISTS caller_keys_oldest ON caller_keys (created_at);
