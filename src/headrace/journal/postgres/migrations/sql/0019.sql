-- Why an open effect needs attention and since when, in columns; what persons decided about such effects.

SET LOCAL lock_timeout = '5s';

ALTER TABLE activities ADD COLUMN attention text, ADD COLUMN attention_at bigint;

-- verdict: booked, not_booked. evidence: JSON. proof: the transaction or initiation that shows the effect, which can show
-- no other one; NULL where there is none. reason: of the principal.
CREATE TABLE resolutions (
    instance_id text   COLLATE "C" NOT NULL,
    stage       bigint NOT NULL,
    position    bigint NOT NULL,
    verdict     text   NOT NULL,
    evidence    text   NOT NULL,
    proof       text   COLLATE "C",
    reason      text   NOT NULL,
    principal   text   NOT NULL,
    at          bigint NOT NULL,
    PRIMARY KEY (instance_id, stage, position)
);

CREATE UNIQUE INDEX resolutions_by_proof ON resolutions (proof) WHERE proof IS NOT NULL;

UPDATE activities SET attention = CASE
    WHEN last_failure LIKE '%: the stored request and the service''s record differ' THEN 'other_bytes'
    WHEN last_failure LIKE '% with another %' THEN 'other_values'
    WHEN last_failure LIKE '% listed first%' THEN 'not_listed'
    ELSE 'not_found'
END WHERE needs_attention;
