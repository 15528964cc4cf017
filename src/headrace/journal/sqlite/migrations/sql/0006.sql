-- What a publisher did not take, and whose effect an event tells of. May run again: a process can end in the middle of it.

-- One row for each event of Headrace that one publisher refused again and again while it took others. body is the event as
-- it was sent.
CREATE TABLE IF NOT EXISTS set_aside (
    publisher   TEXT    NOT NULL,
    event_id    TEXT    NOT NULL,
    type        TEXT    NOT NULL,
    body        TEXT    NOT NULL,
    reason      TEXT    NOT NULL,
    at          INTEGER NOT NULL,
    PRIMARY KEY (publisher, event_id)
) WITHOUT ROWID;

CREATE INDEX IF NOT EXISTS set_aside_newest ON set_aside (at);

-- Which instance wrote this metadata, or asked for this payout: the services' events do not say.
CREATE INDEX IF NOT EXISTS activities_on_metadata ON activities (request_path, request_body, started_at)
    WHERE name = 'AddAccountMetadata';

CREATE INDEX IF NOT EXISTS activities_on_initiations ON activities (json_extract(CAST(request_body AS TEXT), '$.scheduledAt'))
    WHERE name = 'CreateTransferInitiation';
