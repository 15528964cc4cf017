-- What came after an ended instance: its continuation, or what undoes it. At most one, whichever server is asked.

-- kind: redrive, undo. reason: of the principal. kept: JSON list of the effects that an undo leaves as they are.
CREATE TABLE IF NOT EXISTS successors (
    predecessor text   COLLATE "C" NOT NULL PRIMARY KEY,
    kind        text   NOT NULL,
    successor   text   COLLATE "C" NOT NULL UNIQUE,
    reason      text   NOT NULL,
    principal   text   NOT NULL,
    at          bigint NOT NULL,
    kept        text
);
