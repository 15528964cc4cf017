-- How a stage has ended, where that is neither well nor with an error.

SET LOCAL lock_timeout = '5s';

-- outcome: timeout, of a wait for an event that did not come in time; NULL where the stage says the rest.
ALTER TABLE stages ADD COLUMN IF NOT EXISTS outcome text;

-- A server of an earlier schema would wait for an event without an end.
UPDATE journal_state SET works_from = '0028';
