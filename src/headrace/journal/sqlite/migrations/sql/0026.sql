-- Persons decide about plans, and stages wait for them. Columns are added by versions/0026_approvals.py. May run again: a
-- process can end in the middle of it.

-- target: the plan that is decided about. verdict: approve, reject. hash: that of the target as the principal gave it.
CREATE TABLE IF NOT EXISTS decisions (
    target    TEXT    NOT NULL,
    principal TEXT    NOT NULL,
    verdict   TEXT    NOT NULL,
    hash      TEXT    NOT NULL,
    reason    TEXT    NOT NULL,
    at        INTEGER NOT NULL,
    PRIMARY KEY (target, principal)
);

-- The plans of the rest of an instance.
CREATE INDEX IF NOT EXISTS plans_by_rest ON plans (rest_of) WHERE rest_of IS NOT NULL;
