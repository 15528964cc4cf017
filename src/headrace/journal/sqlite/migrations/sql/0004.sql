-- Who made each write. May run again: a process can end in the middle of it.

-- One row in the commit of each write that a caller asked for; nothing changes or removes it. target is the id of what
-- was written; client_id the program that the principal used, NULL where that is not known.
CREATE TABLE IF NOT EXISTS audit (
    seq       INTEGER PRIMARY KEY AUTOINCREMENT,
    at        INTEGER NOT NULL,
    principal TEXT    NOT NULL,
    client_id TEXT,
    operation TEXT    NOT NULL,
    target    TEXT    NOT NULL
);

CREATE INDEX IF NOT EXISTS audit_of_target ON audit (target, seq);
CREATE INDEX IF NOT EXISTS audit_of_principal ON audit (principal, seq);

CREATE TRIGGER IF NOT EXISTS audit_is_not_changed BEFORE UPDATE ON audit
BEGIN SELECT RAISE(ABORT, 'the audit trail is append-only'); END;

CREATE TRIGGER IF NOT EXISTS audit_is_not_removed BEFORE DELETE ON audit
BEGIN SELECT RAISE(ABORT, 'the audit trail is append-only'); END;
