-- Every statement of the SQLite journal, by name. `name: X` starts a block; parameters are positional.

-- name: insert_workflow
INSERT INTO workflows (id, name, config, created_at, updated_at) VALUES (?, ?, ?, ?, ?)

-- name: delete_workflow
UPDATE workflows SET deleted_at = ?1, updated_at = max(updated_at, ?1) WHERE id = ?2 AND deleted_at IS NULL

-- name: insert_instance
INSERT INTO instances (id, workflow_id, config, variables, created_at, updated_at, by_trigger, next_at)
SELECT ?1, ?2, ?3, ?4, ?5, ?5, ?6, 0 WHERE EXISTS (SELECT 1 FROM workflows WHERE id = ?2 AND deleted_at IS NULL)

-- name: touch_instance
UPDATE instances SET updated_at = ?, next_at = ? WHERE id = ? AND terminated_at IS NULL

-- name: end_instance
UPDATE instances SET terminated_at = ?1, updated_at = ?1, error = ?2, next_at = NULL WHERE id = ?3 AND terminated_at IS NULL

-- name: settle_instance
UPDATE instances SET next_at = ? WHERE id = ?

-- name: mark_trouble
UPDATE instances SET trouble = ? WHERE id = ? AND terminated_at IS NULL

-- name: insert_variables
INSERT OR IGNORE INTO instance_variables (fingerprint, created_at, instance_id) SELECT value, ?, ? FROM json_each(?)

-- name: open_stage
INSERT INTO stages (instance_id, number, keyword, input, started_at) VALUES (?, ?, ?, ?, ?)

-- name: insert_closed_stage
INSERT INTO stages (instance_id, number, keyword, input, started_at, terminated_at, error) VALUES (?, ?, ?, ?, ?, ?, ?)

-- name: amend_stage
UPDATE stages SET input = ? WHERE instance_id = ? AND number = ? AND terminated_at IS NULL

-- name: close_stage
UPDATE stages SET terminated_at = ?, error = ? WHERE instance_id = ? AND number = ? AND terminated_at IS NULL

-- name: open_activity
INSERT INTO activities (instance_id, stage, position, name, input, started_at, attempt, key, request_method, request_path, request_body)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)

-- name: insert_closed_activity
INSERT INTO activities (instance_id, stage, position, name, input, started_at, attempt, key, request_method, request_path, request_body,
    output, error, last_failure, terminated_at)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)

-- name: failed_attempt
UPDATE activities SET attempt = ?, last_failure = ?, next_execution_at = ?, needs_attention = ?
WHERE instance_id = ? AND stage = ? AND position = ? AND terminated_at IS NULL

-- name: close_activity
UPDATE activities SET attempt = ?, output = ?, error = ?, next_execution_at = NULL, needs_attention = 0, terminated_at = ?
WHERE instance_id = ? AND stage = ? AND position = ? AND terminated_at IS NULL

-- name: insert_event
INSERT INTO events (instance_id, name, received_at)
SELECT ?1, ?2, ?3 WHERE EXISTS (SELECT 1 FROM instances WHERE id = ?1 AND terminated_at IS NULL)

-- name: wake_for_event
UPDATE instances SET next_at = 0 WHERE id = ? AND next_at IS NULL AND terminated_at IS NULL

-- name: take_event
UPDATE events SET stage = ?1 WHERE seq = (
    SELECT seq FROM events WHERE instance_id = ?2 AND name = ?3 AND (stage IS NULL OR stage = ?1) ORDER BY (stage IS NULL), seq LIMIT 1
) RETURNING seq

-- name: wait_event
UPDATE instances SET updated_at = ?1, next_at = (SELECT 0 FROM events WHERE instance_id = ?2 AND stage = ?3)
WHERE id = ?2 AND terminated_at IS NULL

-- name: insert_trigger
INSERT INTO triggers (id, name, event, event_name, workflow_id, version, filter, vars, created_at, after_seq)
SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, (SELECT coalesce(max(seq), 0) FROM inbox)
WHERE EXISTS (SELECT 1 FROM workflows WHERE id = ?5 AND deleted_at IS NULL)

-- name: delete_trigger
UPDATE triggers SET deleted_at = ?1 WHERE id = ?2 AND deleted_at IS NULL

-- ?1 key, ?2 type, ?3 envelope, ?4 now, ?5 depth, ?6 fingerprint of the payload, ?7 its place at a broker, ?8 the key
-- that it gets if ?1 is known with another payload, ?9 the key that release 0.1.0 would have given it. A known place is
-- the same message: a repeat of whatever it was. Rows of 0.1.0 without a fingerprint cannot be compared.
-- name: accept_event
INSERT INTO inbox (key, type, envelope, received_at, depth, fingerprint, conflicts_with)
SELECT
    CASE
        WHEN placed IS NOT NULL THEN (SELECT key FROM inbox WHERE seq = placed)
        WHEN known IS NULL THEN ?1
        WHEN is_equal THEN (SELECT key FROM inbox WHERE seq = known)
        ELSE ?8
    END,
    ?2, ?3, ?4, ?5, ?6, CASE WHEN placed IS NULL AND NOT is_equal THEN known END
FROM (
    SELECT placed, known, (SELECT fingerprint IS NULL OR fingerprint = ?6 FROM inbox WHERE seq = known) AS is_equal
    FROM (
        SELECT
            coalesce(
                (SELECT seq FROM inbox WHERE key = ?7),
                (SELECT seq FROM event_keys WHERE key = ?7)
            ) AS placed,
            coalesce(
                (SELECT seq FROM inbox WHERE key = ?1),
                (SELECT seq FROM event_keys WHERE key = ?1),
                (
                    SELECT seq FROM inbox WHERE key = ?9 AND type = ?2
                    AND (fingerprint IS NULL OR (fingerprint = ?6 AND substr(key, 1, 4) = 'key:'))
                )
            ) AS known
    )
)
WHERE true
ON CONFLICT (key) DO UPDATE SET repeats = repeats + 1, last_repeat_at = ?4 RETURNING seq, repeats, conflicts_with

-- name: place_event
INSERT INTO event_keys (key, seq) VALUES (?, ?) ON CONFLICT (key) DO NOTHING

-- name: identify_event
UPDATE inbox SET fingerprint = ? WHERE seq = ?

-- name: repeat_event
UPDATE inbox SET repeats = repeats + 1, last_repeat_at = ?1 WHERE seq = coalesce(
    (SELECT seq FROM inbox WHERE key = ?2), (SELECT seq FROM event_keys WHERE key = ?2), (SELECT seq FROM inbox WHERE key = ?3))

-- name: process_event
UPDATE inbox SET processed_at = ?1, served_s = (SELECT served_s FROM time_served) WHERE seq = ?2 AND processed_at IS NULL

-- name: forget_envelopes
UPDATE inbox SET envelope = NULL WHERE seq IN (
    SELECT seq FROM inbox WHERE served_s < ? AND processed_at IS NOT NULL AND envelope IS NOT NULL ORDER BY served_s LIMIT 200)
RETURNING seq

-- name: insert_occurrence
INSERT INTO occurrences (id, trigger_id, event_key, event, created_at, depth, instance_id, error)
SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8 WHERE EXISTS (SELECT 1 FROM triggers WHERE id = ?2 AND deleted_at IS NULL)
ON CONFLICT (trigger_id, event_key) DO NOTHING

-- name: move_position
INSERT INTO positions (source, position) VALUES (?1, ?2) ON CONFLICT (source) DO UPDATE SET position = ?2

-- name: publish
INSERT INTO outbox (type, happened_at, payload, instance_id, depth, served_s)
VALUES (?, ?, ?, ?, ?, (SELECT served_s FROM time_served))

-- name: trim_outbox
DELETE FROM outbox WHERE seq IN (
    SELECT seq FROM (SELECT seq, served_s FROM outbox ORDER BY seq LIMIT 200) WHERE seq <= ?1 OR served_s < ?2)
RETURNING seq

-- name: set_aside
INSERT INTO set_aside (publisher, event_id, type, body, reason, at, served_s)
VALUES (?, ?, ?, ?, ?, ?, (SELECT served_s FROM time_served))
ON CONFLICT (publisher, event_id) DO NOTHING

-- name: forget_set_aside
DELETE FROM set_aside WHERE (publisher, event_id) IN (
    SELECT publisher, event_id FROM set_aside WHERE served_s < ? ORDER BY served_s LIMIT 200)
RETURNING at

-- name: audit
INSERT INTO audit (at, principal, client_id, operation, target) VALUES (?, ?, ?, ?, ?)

-- name: remember
INSERT INTO caller_keys (owner, key, fingerprint, status, body, operation, target, created_at, served_s)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, (SELECT served_s FROM time_served))

-- name: forget_before
DELETE FROM caller_keys WHERE (owner, key) IN (
    SELECT owner, key FROM caller_keys WHERE served_s < ? ORDER BY served_s LIMIT 200)
RETURNING served_s

-- name: serve_time
UPDATE time_served SET served_s = served_s + ? RETURNING served_s

-- name: probe
UPDATE time_served SET probes = probes + 1 RETURNING probes

-- name: workflow
SELECT id, name, config, created_at, updated_at, deleted_at FROM workflows WHERE id = ?

-- name: workflows_page
SELECT id, name, config, created_at, updated_at, deleted_at FROM workflows
WHERE deleted_at IS NULL AND (created_at, id) < (?, ?) ORDER BY created_at DESC, id DESC LIMIT ?

-- name: instance
SELECT id, workflow_id, config, variables, created_at, updated_at, terminated_at, error, by_trigger FROM instances WHERE id = ?

-- name: instances_page
SELECT id, workflow_id, config, variables, created_at, updated_at, terminated_at, error, by_trigger FROM instances
WHERE (created_at, id) < (?, ?) ORDER BY created_at DESC, id DESC LIMIT ?

-- name: running_instances_page
SELECT id, workflow_id, config, variables, created_at, updated_at, terminated_at, error, by_trigger FROM instances
WHERE terminated_at IS NULL AND (created_at, id) < (?, ?) ORDER BY created_at DESC, id DESC LIMIT ?

-- name: instances_of_workflow_page
SELECT id, workflow_id, config, variables, created_at, updated_at, terminated_at, error, by_trigger FROM instances
WHERE workflow_id = ? AND (created_at, id) < (?, ?) ORDER BY created_at DESC, id DESC LIMIT ?

-- name: running_instances_of_workflow_page
SELECT id, workflow_id, config, variables, created_at, updated_at, terminated_at, error, by_trigger FROM instances
WHERE workflow_id = ? AND terminated_at IS NULL AND (created_at, id) < (?, ?) ORDER BY created_at DESC, id DESC LIMIT ?

-- name: stages
SELECT instance_id, number, keyword, input, started_at, terminated_at, error FROM stages WHERE instance_id = ? ORDER BY number

-- name: activities
SELECT instance_id, stage, position, name, input, started_at, attempt, key, request_method, request_path, request_body,
    output, error, last_failure, next_execution_at, needs_attention, terminated_at
FROM activities WHERE instance_id = ? AND stage = ? ORDER BY position

-- name: remembered
SELECT owner, key, fingerprint, status, body, operation, target, created_at FROM caller_keys
WHERE owner IN (?1, '~') AND key = ?2 ORDER BY owner LIMIT 1

-- name: audit_page
SELECT seq, at, principal, client_id, operation, target FROM audit WHERE seq < ? ORDER BY seq DESC LIMIT ?

-- name: audit_of_principal_page
SELECT seq, at, principal, client_id, operation, target FROM audit WHERE principal = ? AND seq < ? ORDER BY seq DESC LIMIT ?

-- name: audit_of_target_page
SELECT seq, at, principal, client_id, operation, target FROM audit
WHERE target = ?1 AND (?2 = '' OR principal = ?2) AND seq < ?3 ORDER BY seq DESC LIMIT ?4

-- name: due
SELECT i.rowid, i.next_at,
    i.id, i.workflow_id, i.config, i.variables, i.created_at, i.updated_at, i.terminated_at, i.error, i.by_trigger,
    s.instance_id, s.number, s.keyword, s.input, s.started_at, s.terminated_at, s.error,
    EXISTS (SELECT 1 FROM activities WHERE instance_id = i.id AND stage = s.number)
FROM instances AS i JOIN stages AS s
    ON s.instance_id = i.id AND s.number = (SELECT max(number) FROM stages WHERE instance_id = i.id)
WHERE (i.next_at, i.rowid) > (?, ?) AND i.next_at <= ? ORDER BY i.next_at, i.rowid LIMIT ?

-- name: next_deadline
SELECT min(next_at) FROM instances WHERE next_at > ?

-- name: counts
SELECT
    (SELECT count(*) FROM instances WHERE terminated_at IS NULL),
    (SELECT count(*) FROM activities AS a JOIN instances AS i ON i.id = a.instance_id
        WHERE a.needs_attention = 1 AND i.terminated_at IS NULL)

-- name: trigger
SELECT id, name, event, workflow_id, version, filter, vars, created_at, after_seq, deleted_at FROM triggers WHERE id = ?

-- name: triggers_page
SELECT id, name, event, workflow_id, version, filter, vars, created_at, after_seq, deleted_at FROM triggers
WHERE deleted_at IS NULL AND (created_at, id) < (?, ?) ORDER BY created_at DESC, id DESC LIMIT ?

-- name: named_triggers_page
SELECT id, name, event, workflow_id, version, filter, vars, created_at, after_seq, deleted_at FROM triggers
WHERE deleted_at IS NULL AND instr(casefold(name), ?) AND (created_at, id) < (?, ?) ORDER BY created_at DESC, id DESC LIMIT ?

-- name: triggers_on
SELECT id, name, event, workflow_id, version, filter, vars, created_at, after_seq, deleted_at FROM triggers
WHERE deleted_at IS NULL AND event_name IN (?1, ?2) AND after_seq < ?3 ORDER BY created_at, id

-- name: trigger_count
SELECT count(*) FROM triggers WHERE deleted_at IS NULL

-- name: unidentified_events
SELECT seq, key, type, envelope, received_at, processed_at, repeats, last_repeat_at, depth, conflicts_with FROM inbox
WHERE fingerprint IS NULL AND envelope IS NOT NULL AND seq > ? ORDER BY seq LIMIT ?

-- name: waiting_events
SELECT seq, key, type, envelope, received_at, processed_at, repeats, last_repeat_at, depth, conflicts_with FROM inbox
WHERE processed_at IS NULL AND seq > ? ORDER BY seq LIMIT ?

-- name: conflicting_events_page
SELECT seq, key, type, NULL, received_at, processed_at, repeats, last_repeat_at, depth, conflicts_with FROM inbox
WHERE conflicts_with IS NOT NULL AND seq < ? ORDER BY seq DESC LIMIT ?

-- name: events_page
SELECT seq, key, type, NULL, received_at, processed_at, repeats, last_repeat_at, depth, conflicts_with FROM inbox
WHERE seq < ? ORDER BY seq DESC LIMIT ?

-- name: repeated_events_page
SELECT seq, key, type, NULL, received_at, processed_at, repeats, last_repeat_at, depth, conflicts_with FROM inbox
WHERE repeats > 0 AND seq < ? ORDER BY seq DESC LIMIT ?

-- name: occurrences_page
SELECT id, trigger_id, event_key, event, created_at, depth, instance_id, error FROM occurrences
WHERE trigger_id = ? AND (created_at, id) < (?, ?) ORDER BY created_at DESC, id DESC LIMIT ?

-- name: occurrence
SELECT id, trigger_id, event_key, event, created_at, depth, instance_id, error FROM occurrences
WHERE trigger_id = ? AND event_key = ?

-- name: depth_of_instance
SELECT depth FROM occurrences WHERE instance_id = ?

-- name: depth_of_metadata
SELECT coalesce((SELECT depth FROM occurrences WHERE instance_id = activities.instance_id), 0) FROM activities
WHERE name = 'AddAccountMetadata' AND request_path = ? AND request_body = ? ORDER BY started_at DESC LIMIT 1

-- name: depth_of_initiation
SELECT coalesce(max((SELECT depth FROM occurrences WHERE instance_id = activities.instance_id)), 0) FROM activities
WHERE name = 'CreateTransferInitiation' AND json_extract(CAST(request_body AS TEXT), '$.scheduledAt') = ?

-- name: position
SELECT position FROM positions WHERE source = ?

-- name: identity
SELECT id FROM identity

-- name: outbox_page
SELECT seq, type, happened_at, payload,
    coalesce(depth, (SELECT depth FROM occurrences WHERE instance_id = outbox.instance_id), 0)
FROM outbox WHERE seq > ? ORDER BY seq LIMIT ?

-- name: set_aside_page
SELECT publisher, event_id, type, body, reason, at FROM set_aside WHERE at > 0 ORDER BY at DESC LIMIT ?

-- name: outbox_end
SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = 'outbox'

-- Places of a list that come before a place, the nearest first.

-- name: workflows_before
SELECT created_at, id FROM workflows
WHERE deleted_at IS NULL AND (created_at, id) > (?, ?) ORDER BY created_at, id LIMIT ?

-- name: instances_before
SELECT created_at, id FROM instances
WHERE (created_at, id) > (?, ?) ORDER BY created_at, id LIMIT ?

-- name: running_instances_before
SELECT created_at, id FROM instances
WHERE terminated_at IS NULL AND (created_at, id) > (?, ?) ORDER BY created_at, id LIMIT ?

-- name: instances_of_workflow_before
SELECT created_at, id FROM instances
WHERE workflow_id = ? AND (created_at, id) > (?, ?) ORDER BY created_at, id LIMIT ?

-- name: running_instances_of_workflow_before
SELECT created_at, id FROM instances
WHERE workflow_id = ? AND terminated_at IS NULL AND (created_at, id) > (?, ?) ORDER BY created_at, id LIMIT ?

-- name: triggers_before
SELECT created_at, id FROM triggers
WHERE deleted_at IS NULL AND (created_at, id) > (?, ?) ORDER BY created_at, id LIMIT ?

-- name: named_triggers_before
SELECT created_at, id FROM triggers
WHERE deleted_at IS NULL AND instr(casefold(name), ?) AND (created_at, id) > (?, ?) ORDER BY created_at, id LIMIT ?

-- name: occurrences_before
SELECT created_at, id FROM occurrences
WHERE trigger_id = ? AND (created_at, id) > (?, ?) ORDER BY created_at, id LIMIT ?
