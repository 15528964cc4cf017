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

-- A server of an earlier schema would give the effects of a continuation new keys, and would not see what a plan allows.
UPDATE journal_state SET works_from = '0023';
