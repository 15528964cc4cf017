-- What a query computed becomes a column. May run again: a process can end in the middle of it.
-- versions/0015_plain_columns.py adds and fills the columns before these: name_folded of triggers (the name as Python's
-- str.casefold has it) and scheduled_at of activities (of a transfer initiation, as its request has it).

DROP INDEX IF EXISTS activities_on_initiations;

CREATE INDEX IF NOT EXISTS activities_scheduled ON activities (scheduled_at) WHERE scheduled_at IS NOT NULL;
