-- Lists of instances by status, by error and by variable. May run again: a process can end in the middle of it.
-- The columns trouble, status and error_code are added by versions/0010_instance_lists.py.

CREATE INDEX IF NOT EXISTS instances_by_status ON instances (status, created_at, id);
CREATE INDEX IF NOT EXISTS instances_of_workflow_by_status ON instances (workflow_id, status, created_at, id);

CREATE INDEX IF NOT EXISTS instances_by_error ON instances (error_code, created_at, id) WHERE error_code IS NOT NULL;
CREATE INDEX IF NOT EXISTS instances_of_workflow_by_error ON instances (workflow_id, error_code, created_at, id)
    WHERE error_code IS NOT NULL;

-- fingerprint: 64 bits of a hash of a variable's name and value.
CREATE TABLE IF NOT EXISTS instance_variables (
    fingerprint INTEGER NOT NULL,
    created_at  INTEGER NOT NULL,
    instance_id TEXT    NOT NULL,
    PRIMARY KEY (fingerprint, created_at, instance_id)
) WITHOUT ROWID;
