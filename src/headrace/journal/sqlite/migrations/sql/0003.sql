-- What we publish, and how events come in from a bus. May run again: a process can end in the middle of it.

-- The name of the journal, which never changes: what it publishes is known by it.
CREATE TABLE IF NOT EXISTS identity (
    id TEXT NOT NULL PRIMARY KEY
) WITHOUT ROWID;

INSERT INTO identity (id) SELECT lower(hex(randomblob(16))) WHERE NOT EXISTS (SELECT 1 FROM identity);

-- Events of Headrace on their way out, written in the commit of what they tell, until every publisher has taken them.
-- depth counts the triggers that led to it; NULL: that of the instance.
CREATE TABLE IF NOT EXISTS outbox (
    seq         INTEGER PRIMARY KEY AUTOINCREMENT,
    type        TEXT    NOT NULL,
    happened_at INTEGER NOT NULL,
    payload     TEXT    NOT NULL,
    instance_id TEXT,
    depth       INTEGER
);
