-- What only one process knew becomes rows. May run again: a process can end in the middle of it.
-- versions/0013_shared_rows.py adds the column served_s to positions: the time served when a position was last moved or
-- confirmed.

-- The types of events that something reads: a trigger, or a publisher. Events of other types are not stored.
CREATE TABLE IF NOT EXISTS wanted (
    type TEXT NOT NULL PRIMARY KEY
) WITHOUT ROWID;

-- One row. outbox_end is the number of the last event that was ever in the outbox.
CREATE TABLE IF NOT EXISTS journal_state (
    id         INTEGER NOT NULL PRIMARY KEY CHECK (id = 1),
    outbox_end INTEGER NOT NULL
);

INSERT INTO journal_state (id, outbox_end)
SELECT 1, coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'outbox'), 0) WHERE NOT EXISTS (SELECT 1 FROM journal_state);
