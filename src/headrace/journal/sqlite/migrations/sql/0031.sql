-- Certificates of periods. May run again: a process can end in the middle of it.

-- What ended in a period, by the time of its end.
CREATE INDEX IF NOT EXISTS instances_by_end ON instances (terminated_at, id) WHERE terminated_at IS NOT NULL;

-- The certificate of the period before one.
CREATE INDEX IF NOT EXISTS certificates_by_end ON certificates (to_at, created_at, id) WHERE to_at IS NOT NULL;
