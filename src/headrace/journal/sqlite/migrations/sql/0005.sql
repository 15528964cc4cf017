-- Pages of what runs cost the same however much has ended. May run again: a process can end in the middle of it.

CREATE INDEX IF NOT EXISTS instances_running ON instances (created_at, id) WHERE terminated_at IS NULL;
CREATE INDEX IF NOT EXISTS instances_running_of_workflow ON instances (workflow_id, created_at, id) WHERE terminated_at IS NULL;
CREATE INDEX IF NOT EXISTS activities_needing_attention ON activities (instance_id) WHERE needs_attention = 1;
