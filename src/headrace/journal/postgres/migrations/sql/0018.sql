-- Plans of runs: what would happen, for a person to sign.

-- document: the plan as JSON. subject: what it is a plan of, as JSON. state: open, approved, rejected, expired or used.
-- instance_id: the instance that the plan has started.
CREATE TABLE plans (
    id          text   COLLATE "C" PRIMARY KEY,
    hash        text   NOT NULL,
    document    text   NOT NULL,
    subject     text   NOT NULL,
    requester   text   NOT NULL,
    created_at  bigint NOT NULL,
    expires_at  bigint NOT NULL,
    state       text   NOT NULL,
    instance_id text   COLLATE "C"
);

CREATE INDEX plans_by_age ON plans (created_at, id);

CREATE UNIQUE INDEX plans_by_instance ON plans (instance_id) WHERE instance_id IS NOT NULL;
