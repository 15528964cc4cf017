-- Why an instance was aborted, and a way from an instance to the batch that made it. A server of schema 0028 works on.

SET LOCAL lock_timeout = '5s';

-- abort_reason: as the person gave it who aborted the instance; NULL where none was given.
ALTER TABLE instances ADD COLUMN IF NOT EXISTS abort_reason text;

CREATE INDEX IF NOT EXISTS batch_items_made ON batch_items (made_id) WHERE made_id IS NOT NULL;
