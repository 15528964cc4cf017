-- Certificates of periods.

-- from_at, to_at: those of the period, NULL for a certificate of a case.
ALTER TABLE certificates ADD COLUMN IF NOT EXISTS from_at bigint, ADD COLUMN IF NOT EXISTS to_at bigint;

-- What ended in a period, by the time of its end.
CREATE INDEX IF NOT EXISTS instances_by_end ON instances (terminated_at, id) WHERE terminated_at IS NOT NULL;

-- The certificate of the period before one.
CREATE INDEX IF NOT EXISTS certificates_by_end ON certificates (to_at, created_at, id) WHERE to_at IS NOT NULL;
