-- Stages with a condition, and what was decided of each.

SET LOCAL lock_timeout = '5s';

-- skipped: whether the condition of a stage was false as it opened; NULL: it has none, or it could not be evaluated.
ALTER TABLE stages ADD COLUMN IF NOT EXISTS skipped boolean;

-- A server of an earlier schema knows no stage with a condition.
UPDATE journal_state SET works_from = '0029';
