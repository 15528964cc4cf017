-- Persons decide about plans, and stages wait for them.

SET LOCAL lock_timeout = '5s';

-- gate: JSON of what a stage waits for before it goes on; deadline_at: when it gives up; gate_passed_at: when persons had
-- approved.
ALTER TABLE stages
    ADD COLUMN IF NOT EXISTS gate text,
    ADD COLUMN IF NOT EXISTS deadline_at bigint,
    ADD COLUMN IF NOT EXISTS gate_passed_at bigint;

-- target: the plan that is decided about. verdict: approve, reject. hash: that of the target as the principal gave it.
CREATE TABLE IF NOT EXISTS decisions (
    target    text   COLLATE "C" NOT NULL,
    principal text   COLLATE "C" NOT NULL,
    verdict   text   NOT NULL,
    hash      text   NOT NULL,
    reason    text   NOT NULL,
    at        bigint NOT NULL,
    PRIMARY KEY (target, principal)
);

-- rest_of: the instance of whose rest a plan is.
ALTER TABLE plans ADD COLUMN IF NOT EXISTS rest_of text COLLATE "C";
CREATE INDEX IF NOT EXISTS plans_by_rest ON plans (rest_of) WHERE rest_of IS NOT NULL;

-- A server of an earlier schema would go on where a stage waits for persons.
UPDATE journal_state SET works_from = '0026';
