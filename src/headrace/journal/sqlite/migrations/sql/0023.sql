-- What came after an ended instance: its continuation, or what undoes it. At most one, whichever server is asked.

-- kind: redrive, undo. reason: of the principal. kept: JSON list of the effects that an undo leaves as they are.
CREATE TABLE IF NOT EXISTS successors (
    predecessor TEXT    NOT NULL PRIMARY KEY,
    kind        TEXT    NOT NULL,
    successor   TEXT    NOT NULL UNIQUE,
    reason      TEXT    NOT NULL,
    principal   TEXT    NOT NULL,
    at          INTEGER NOT NULL,
    kept        TEXT
);
