-- An event's own identity beside the broker's. May run again: a process can end in the middle of it.
-- The version's Python adds two columns to inbox before these: fingerprint, a hash of the payload; and conflicts_with,
-- the seq of the event that had the same identity before, with another payload.

-- Further identities of an event of the inbox: its place at a broker, or, for events of release 0.1.0, its own.
CREATE TABLE IF NOT EXISTS event_keys (
    key TEXT    NOT NULL PRIMARY KEY,
    seq INTEGER NOT NULL
) WITHOUT ROWID;

-- Events of release 0.1.0, until the first start of a later release has identified them.
CREATE INDEX IF NOT EXISTS inbox_unidentified ON inbox (seq) WHERE fingerprint IS NULL AND envelope IS NOT NULL;
CREATE INDEX IF NOT EXISTS inbox_conflicting ON inbox (seq) WHERE conflicts_with IS NOT NULL;
