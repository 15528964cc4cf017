-- Why an open effect needs attention and since when, in columns; what persons decided about such effects.

-- verdict: booked, not_booked. evidence: JSON. proof: the transaction or initiation that shows the effect, which can show
-- no other one; NULL where there is none. reason: of the principal.
CREATE TABLE IF NOT EXISTS resolutions (
    instance_id TEXT    NOT NULL,
    stage       INTEGER NOT NULL,
    position    INTEGER NOT NULL,
    verdict     TEXT    NOT NULL,
    evidence    TEXT    NOT NULL,
    proof       TEXT,
    reason      TEXT    NOT NULL,
    principal   TEXT    NOT NULL,
    at          INTEGER NOT NULL,
    PRIMARY KEY (instance_id, stage, position)
);

CREATE UNIQUE INDEX IF NOT EXISTS resolutions_by_proof ON resolutions (proof) WHERE proof IS NOT NULL;

UPDATE activities SET attention = CASE
    WHEN last_failure LIKE '%: the stored request and the service''s record differ' THEN 'other_bytes'
    WHEN last_failure LIKE '% with another %' THEN 'other_values'
    WHEN last_failure LIKE '% listed first%' THEN 'not_listed'
    ELSE 'not_found'
END WHERE needs_attention = 1 AND attention IS NULL;
