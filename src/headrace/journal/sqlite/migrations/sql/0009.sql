-- Time that passed while a server ran, for retention. May run again: a process can end in the middle of it.

-- One row: the seconds, and how often a commit was tried. Each row of caller_keys, inbox, outbox
-- and set_aside has a column served_s: the value of this one when the row was stored (of the inbox, when it was processed).
CREATE TABLE IF NOT EXISTS time_served (
    id       INTEGER NOT NULL PRIMARY KEY CHECK (id = 1),
    served_s INTEGER NOT NULL,
    probes   INTEGER NOT NULL DEFAULT 0
);

INSERT INTO time_served (id, served_s) SELECT 1, 0 WHERE NOT EXISTS (SELECT 1 FROM time_served);

DROP INDEX IF EXISTS caller_keys_oldest;
CREATE INDEX IF NOT EXISTS caller_keys_served ON caller_keys (served_s);
DROP INDEX IF EXISTS inbox_kept;
CREATE INDEX IF NOT EXISTS inbox_served ON inbox (served_s) WHERE processed_at IS NOT NULL AND envelope IS NOT NULL;
CREATE INDEX IF NOT EXISTS set_aside_served ON set_aside (served_s);
