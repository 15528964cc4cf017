-- The queries of the SQLite journal. `name: X` begins one, after a sentence that says what it does. Parameters are named:
-- those of a write by the fields of its record in `journal/writes.py`, those of a read in the order of their first use.
-- `packed` is a function of `journal/sqlite/packing.py`; texts under 256 characters are not worth its time.

-- Writes

-- Store a definition.
-- name: AddWorkflow
INSERT INTO workflows (id, name, config, created_at, updated_at) VALUES (:workflow_id, :name, :config, :created_at, :updated_at)

-- Mark a workflow as deleted; its instances go on.
-- name: DeleteWorkflow
UPDATE workflows SET deleted_at = :at, updated_at = max(updated_at, :at) WHERE id = :workflow_id AND deleted_at IS NULL

-- Store a new instance, unless its workflow is gone: workflow_id is then NULL, which OR IGNORE passes over. INSERT ... SELECT
-- would first copy every page it changes, and takes twice the time. A definition that is its workflow's own is not stored again.
-- name: AddInstance
INSERT OR IGNORE INTO instances (id, workflow_id, config, variables, created_at, updated_at, by_trigger, next_at, kind, root_id, from_stage, plan_id, amount)
VALUES (:instance_id, (SELECT id FROM workflows WHERE id = :workflow_id AND deleted_at IS NULL),
    coalesce((SELECT '' FROM workflows WHERE id = :workflow_id AND config = :config), :config), :variables, :created_at, :created_at, :by_trigger, 0,
    :kind, :root_id, :from_stage, :plan_id, :amount)

-- Store what the first effect of an instance moves.
-- name: NoteAmount
UPDATE instances SET amount = :amount WHERE id = :instance_id AND amount IS NULL

-- Move a running instance on.
-- name: MoveInstance
UPDATE instances SET updated_at = :at, next_at = :next_at WHERE id = :instance_id AND terminated_at IS NULL

-- End a running instance.
-- name: EndInstance
UPDATE instances SET terminated_at = :at, updated_at = :at, error = :error, failure = :failure, failure_code = :failure_code, next_at = NULL, version = :version + 1
WHERE id = :instance_id AND version = :version AND terminated_at IS NULL

-- Raise the version of an instance that is where its reader left it.
-- name: ClaimVersion
UPDATE instances SET version = :version + 1 WHERE id = :instance_id AND version = :version

-- Set when the engine looks at an instance, running or not.
-- name: ScheduleInstance
UPDATE instances SET next_at = :next_at WHERE id = :instance_id

-- Show a running instance as retrying, as in need of attention, or as neither.
-- name: MarkTrouble
UPDATE instances SET trouble = :trouble WHERE id = :instance_id AND terminated_at IS NULL

-- Store an instance that continues another one.
-- name: AddContinuation
INSERT INTO instances (id, workflow_id, config, variables, created_at, updated_at, by_trigger, next_at, kind, root_id, from_stage, plan_id)
SELECT :instance_id, workflow_id, config, variables, :created_at, :created_at, by_trigger, 0, 'continuation', :root_id, :from_stage, COALESCE(:plan_id, plan_id)
FROM instances WHERE id = :predecessor

-- Store what comes after an instance that has ended, unless something has.
-- name: AddSuccessor
INSERT INTO successors (predecessor, kind, successor, reason, principal, at, kept)
SELECT :predecessor, :kind, :successor, :reason, :principal, :at, :kept WHERE EXISTS (
    SELECT 1 FROM instances WHERE id = :predecessor AND terminated_at IS NOT NULL
) AND NOT EXISTS (SELECT 1 FROM activities WHERE instance_id = :predecessor AND terminated_at IS NULL)
ON CONFLICT DO NOTHING

-- Move unused events to another mailbox.
-- name: CarryEvents
UPDATE events SET instance_id = :instance_id WHERE instance_id = :predecessor AND stage IS NULL

-- Make an instance findable by its variables.
-- name: AddVariables
INSERT OR IGNORE INTO instance_variables (fingerprint, created_at, instance_id) SELECT value, :created_at, :instance_id FROM json_each(:fingerprints)

-- Make an instance findable by a term of its effects: one row of many.
-- name: AddLookups
INSERT OR IGNORE INTO lookups (term, created_at, instance_id) VALUES (:terms, :created_at, :instance_id)

-- Store a stage that has begun.
-- name: OpenStage
INSERT INTO stages (instance_id, number, keyword, input, started_at)
VALUES (:instance_id, :number, :keyword,
    CASE WHEN length(:input) < 256 THEN :input ELSE packed(:input, (SELECT text FROM instance_texts WHERE instance_id = :instance_id)) END, :started_at)

-- Store a stage that ended as it began.
-- name: AddClosedStage
INSERT INTO stages (instance_id, number, keyword, input, started_at, terminated_at, error)
VALUES (:instance_id, :number, :keyword,
    CASE WHEN length(:input) < 256 THEN :input ELSE packed(:input, (SELECT text FROM instance_texts WHERE instance_id = :instance_id)) END, :started_at, :terminated_at, :error)

-- Replace the input of an open stage.
-- name: AmendStage
UPDATE stages SET input = CASE WHEN length(:input) < 256 THEN :input ELSE packed(:input, (SELECT text FROM instance_texts WHERE instance_id = :instance_id)) END
WHERE instance_id = :instance_id AND number = :number AND terminated_at IS NULL

-- Close an open stage.
-- name: CloseStage
UPDATE stages SET terminated_at = :terminated_at, error = :error WHERE instance_id = :instance_id AND number = :number AND terminated_at IS NULL

-- Store the intent of an activity.
-- name: OpenActivity
INSERT INTO activities (instance_id, stage, position, name, input, started_at, attempt, key, request_method, request_path, request_body, scheduled_at)
VALUES (:instance_id, :stage, :position, :name, CASE WHEN length(:input) < 256 THEN :input ELSE packed(:input, :request_body) END,
    :started_at, :attempt, :key, :request_method, :request_path, :request_body, :scheduled_at)

-- Store an activity that has ended.
-- name: AddClosedActivity
INSERT INTO activities (instance_id, stage, position, name, input, started_at, attempt, key, request_method, request_path, request_body,
    output, error, last_failure, terminated_at)
VALUES (:instance_id, :stage, :position, :name, CASE WHEN length(:input) < 256 THEN :input ELSE packed(:input, :request_body) END,
    :started_at, :attempt, :key, :request_method, :request_path, :request_body,
    CASE WHEN length(:output) >= 256 THEN packed(:output, :request_body) ELSE :output END, :error, :last_failure, :terminated_at)

-- Count an attempt before it is sent, and note when.
-- name: BeginAttempt
UPDATE activities SET attempt = :attempt, permitted_at = CAST((julianday('now') - 2440587.5) * 86400000000 AS INTEGER)
WHERE instance_id = :instance_id AND stage = :stage AND position = :position AND attempt = :attempt - 1 AND terminated_at IS NULL

-- Record a failed attempt of an open activity.
-- name: FailAttempt
UPDATE activities SET attempt = :attempt, last_failure = :failure, next_execution_at = :next_execution_at, needs_attention = :needs_attention,
    attention = :attention, attention_at = coalesce(attention_at, :attention_at)
WHERE instance_id = :instance_id AND stage = :stage AND position = :position AND terminated_at IS NULL

-- Record the outcome of an open activity.
-- name: CloseActivity
UPDATE activities SET attempt = :attempt, output = CASE WHEN length(:output) >= 256 THEN packed(:output, request_body) ELSE :output END,
    error = :error, next_execution_at = NULL, needs_attention = 0, terminated_at = :terminated_at
WHERE instance_id = :instance_id AND stage = :stage AND position = :position AND terminated_at IS NULL

-- Store what a person decided about an open effect that needs attention.
-- name: AddResolution
INSERT INTO resolutions (instance_id, stage, position, verdict, evidence, proof, reason, principal, at)
SELECT :instance_id, :stage, :position, :verdict, :evidence, :proof, :reason, :principal, :at WHERE EXISTS (
    SELECT 1 FROM activities
    WHERE instance_id = :instance_id AND stage = :stage AND position = :position AND needs_attention = 1 AND terminated_at IS NULL
) ON CONFLICT DO NOTHING

-- Put an event into the mailbox of a running instance.
-- name: AddEvent
INSERT INTO events (instance_id, name, received_at)
SELECT :instance_id, :name, :received_at WHERE EXISTS (SELECT 1 FROM instances WHERE id = :instance_id AND terminated_at IS NULL)

-- Let the engine look at an instance that waits for an event.
-- name: WakeInstance
UPDATE instances SET next_at = 0 WHERE id = :instance_id AND terminated_at IS NULL AND (next_at IS NULL OR next_at > 0) AND EXISTS (
    SELECT 1 FROM stages WHERE instance_id = :instance_id AND keyword = 'wait_event' AND terminated_at IS NULL)

-- Consume the oldest event of a name, or the one that this stage has consumed before.
-- name: TakeEvent
UPDATE events SET stage = :stage WHERE seq = (
    SELECT seq FROM events WHERE instance_id = :instance_id AND name = :name AND (stage IS NULL OR stage = :stage) ORDER BY (stage IS NULL), seq LIMIT 1
) RETURNING seq

-- Let an instance wait, or go on at once where its stage has consumed an event.
-- name: WaitForEvent
UPDATE instances SET updated_at = :at, next_at = coalesce((SELECT 0 FROM events WHERE instance_id = :instance_id AND stage = :stage), :until_at)
WHERE id = :instance_id AND terminated_at IS NULL

-- Let a stage wait no longer, if the mailbox holds no event for it.
-- name: EndWait
UPDATE stages SET outcome = 'timeout' WHERE instance_id = :instance_id AND number = :number AND terminated_at IS NULL AND NOT EXISTS (
    SELECT 1 FROM events WHERE instance_id = :instance_id AND name = :name AND (stage IS NULL OR stage = :number))

-- Ask for a look at an instance.
-- name: AddNudge
INSERT INTO nudges (instance_id, why, at) VALUES (:instance_id, :why, :at)

-- Remove the nudges of an instance that a look has answered.
-- name: DropNudges
DELETE FROM nudges WHERE instance_id = :instance_id AND seq <= :seq

-- Let nudges that were repeated count as overlooked later.
-- name: PostponeNudges
UPDATE nudges SET tries = tries + 1, at = :at WHERE instance_id = :instance_id AND seq <= :seq

-- Hand the journal from one engine to another.
-- name: SwitchEngine
UPDATE journal_state SET engine = :engine WHERE engine = :before

-- Count a process that becomes the owner of the journal.
-- name: RaiseGeneration
UPDATE journal_state SET generation = :generation + 1 WHERE generation = :generation

-- Store a trigger that fires for later events, unless its workflow is gone.
-- name: AddTrigger
INSERT INTO triggers (id, name, event, event_name, workflow_id, version, filter, vars, created_at, after_seq, name_folded, workflow_name, handle, set_name)
SELECT :trigger_id, :name, :event, :event_name, :workflow_id, :version, :filter, :vars, :created_at, (SELECT coalesce(max(seq), 0) FROM inbox), :name_folded, :workflow_name, :handle, :set_name
WHERE EXISTS (SELECT 1 FROM workflows WHERE id = :workflow_id AND deleted_at IS NULL)
ON CONFLICT DO NOTHING

-- Store why an instance is aborted.
-- name: NoteAbort
UPDATE instances SET abort_reason = :reason WHERE id = :instance_id

-- Store a plan, open.
-- name: AddPlan
INSERT INTO plans (id, hash, document, subject, requester, created_at, expires_at, state, rest_of)
VALUES (:plan_id, :hash, :document, :subject, :requester, :created_at, :expires_at, 'open', :rest_of)

-- Store a certificate.
-- name: AddCertificate
INSERT INTO certificates (id, subject, content, sha, previous, kid, jwk, created_at, from_at, to_at)
VALUES (:certificate_id, :subject, :content, :sha, :previous, :kid, :jwk, :created_at, :from_at, :to_at)

-- Let a plan start its one instance, unless it has one or has expired.
-- name: UsePlan
UPDATE plans SET state = 'used', instance_id = :instance_id
WHERE id = :plan_id AND state IN ('open', 'approved') AND instance_id IS NULL AND expires_at > :at

-- Store that a plan has expired.
-- name: ExpirePlan
UPDATE plans SET state = 'expired' WHERE id = :plan_id AND state IN ('open', 'approved') AND expires_at <= :at

-- Store what a person decided about a plan, once.
-- name: AddDecision
INSERT INTO decisions (target, principal, verdict, hash, reason, at)
SELECT :target, :principal, :verdict, :hash, :reason, :at
WHERE EXISTS (SELECT 1 FROM plans WHERE id = :target AND state IN ('open', 'approved') AND expires_at > :at)
ON CONFLICT DO NOTHING

-- Note that an open plan has the approvals that it needs.
-- name: ApprovePlan
UPDATE plans SET state = 'approved' WHERE id = :plan_id AND state = 'open'
AND (SELECT count(*) FROM decisions WHERE target = :plan_id AND verdict = 'approve') >= :needed

-- Note that a plan is rejected.
-- name: RejectPlan
UPDATE plans SET state = 'rejected' WHERE id = :plan_id AND state IN ('open', 'approved') AND expires_at > :at

-- Let a waiting instance use the plan of its rest.
-- name: SpendPlan
UPDATE plans SET state = 'used' WHERE id = :plan_id AND state IN ('open', 'approved') AND expires_at > :at

-- Store whether a stage with a condition is skipped.
-- name: DecideStage
UPDATE stages SET skipped = :is_skipped WHERE instance_id = :instance_id AND number = :number AND skipped IS NULL

-- Let a stage that has begun wait for approvals.
-- name: OpenGate
UPDATE stages SET gate = :gate, deadline_at = :deadline_at WHERE instance_id = :instance_id AND number = :number

-- Note that a stage has the approvals that it waited for.
-- name: PassGate
UPDATE stages SET gate_passed_at = :at WHERE instance_id = :instance_id AND number = :number
AND gate IS NOT NULL AND gate_passed_at IS NULL AND terminated_at IS NULL

-- Keep a running instance to a plan.
-- name: PinInstance
UPDATE instances SET plan_id = :plan_id WHERE id = :instance_id

-- Store a batch, whose preview is still to be made.
-- name: AddBatch
INSERT INTO batches (id, kind, selection, rate, max_open, stop_after, reason, principal, created_at, items, state, planned, claim, open, streak)
VALUES (:batch_id, :kind, :selection, :rate, :max_open, :stop_after, :reason, :principal, :created_at, :items, 'previewing', 0, '', 0, 0)

-- Store the items of a batch.
-- name: AddBatchItems
INSERT INTO batch_items (batch_id, n, instance_id, run, state)
SELECT :batch_id, value ->> '$.n', value ->> '$.instance', value ->> '$.run', 'pending' FROM json_each(:items)

-- Let one preview write from now on.
-- name: ClaimPreview
UPDATE batches SET claim = :claim, planned = 0 WHERE id = :batch_id AND state = 'previewing'

-- Store how far a preview has come.
-- name: MovePreview
UPDATE batches SET planned = :planned WHERE id = :batch_id AND state = 'previewing' AND claim = :claim

-- Store what a preview has found.
-- name: PreviewItem
UPDATE batch_items SET state = :state, hash = :hash, document = :document, code = :code, message = :message
WHERE batch_id = :batch_id AND n = :number

-- Make a batch ready.
-- name: FinishPreview
UPDATE batches SET state = 'ready', hash = :hash, summary = :summary WHERE id = :batch_id AND state = 'previewing' AND claim = :claim

-- Store what a person decided about a batch, once.
-- name: AddBatchDecision
INSERT INTO decisions (target, principal, verdict, hash, reason, at)
SELECT :batch_id, :principal, :verdict, :hash, :reason, :at
WHERE EXISTS (SELECT 1 FROM batches WHERE id = :batch_id AND state IN ('ready', 'approved') AND hash = :hash)
ON CONFLICT DO NOTHING

-- Note that a ready batch has the approvals that it needs.
-- name: ApproveBatch
UPDATE batches SET state = 'approved' WHERE id = :batch_id AND state = 'ready'
AND (SELECT count(*) FROM decisions WHERE target = :batch_id AND verdict = 'approve') >= :needed

-- Cancel a batch that a person has rejected.
-- name: RejectBatch
UPDATE batches SET state = 'canceled', why = :why, ended_at = :at WHERE id = :batch_id AND state IN ('ready', 'approved')

-- Start a batch.
-- name: StartBatch
UPDATE batches SET state = 'running', starter = :principal, started_at = :at
WHERE id = :batch_id AND state = :state AND state IN ('ready', 'approved') AND hash = :hash

-- Pause a running batch.
-- name: PauseBatch
UPDATE batches SET state = 'paused', why = :why WHERE id = :batch_id AND state = 'running'

-- Go on with a paused batch.
-- name: ResumeBatch
UPDATE batches SET state = 'running', why = NULL, streak = 0 WHERE id = :batch_id AND state = 'paused'

-- Cancel a batch that is not over.
-- name: CancelBatch
UPDATE batches SET state = 'canceled', ended_at = :at WHERE id = :batch_id AND state IN ('previewing', 'ready', 'approved', 'running', 'paused')

-- Skip what has not started.
-- name: DropItems
UPDATE batch_items SET state = 'skipped', code = :code, message = :message, ended_at = :at, document = NULL
WHERE batch_id = :batch_id AND state = 'pending'

-- End a batch of which nothing is left.
-- name: FinishBatch
UPDATE batches SET state = 'done', ended_at = :at WHERE id = :batch_id AND state = 'running' AND open = 0
AND NOT EXISTS (SELECT 1 FROM batch_items WHERE batch_id = :batch_id AND state IN ('pending', 'started'))

-- Count an item that starts, where one may.
-- name: CountStart
UPDATE batches SET open = open + 1 WHERE id = :batch_id AND state = 'running' AND open < max_open

-- Start a pending item.
-- name: StartItem
UPDATE batch_items SET state = 'started', made_id = :made_id, started_at = :at, document = NULL
WHERE batch_id = :batch_id AND n = :number AND state = 'pending'

-- Skip a pending item.
-- name: SkipItem
UPDATE batch_items SET state = 'skipped', code = :code, message = :message, ended_at = :at, document = NULL
WHERE batch_id = :batch_id AND n = :number AND state = 'pending'

-- Count an item that has ended. Too many failures in a row pause the batch.
-- name: CountEnd
UPDATE batches SET open = open - 1, streak = CASE WHEN :is_failure THEN streak + 1 ELSE 0 END,
    why = CASE WHEN state = 'running' AND :is_failure AND streak + 1 >= stop_after THEN :why ELSE why END,
    state = CASE WHEN state = 'running' AND :is_failure AND streak + 1 >= stop_after THEN 'paused' ELSE state END
WHERE id = :batch_id AND open > 0

-- End a started item.
-- name: EndItem
UPDATE batch_items SET state = :state, code = :code, message = :message, ended_at = :at
WHERE batch_id = :batch_id AND n = :number AND state = 'started'

-- Give a name its first version, unless it has one.
-- name: AddHandle
INSERT INTO handles (name, current, set_name, created_at, updated_at)
VALUES (:name, :number, :set_name, :at, :at)
ON CONFLICT DO NOTHING

-- Store a version of a name.
-- name: AddVersion
INSERT INTO versions (name, n, workflow_id, definition_hash, created_at, principal)
VALUES (:name, :number, :workflow_id, :definition_hash, :created_at, :principal)
ON CONFLICT DO NOTHING

-- Make another version the current one.
-- name: MoveHandle
UPDATE handles SET current = :number, updated_at = :at WHERE name = :name AND current = :before

-- Require that a version is the current one.
-- name: RequireVersion
UPDATE handles SET current = current WHERE name = :name AND current = :number

-- Take a name away that no trigger uses: by the name, by the id of a version, or for events that wait for an earlier definition.
-- name: DeleteHandle
DELETE FROM handles WHERE name = :name AND current = :number AND :greatest = (SELECT max(n) FROM versions WHERE name = :name)
AND NOT EXISTS (SELECT 1 FROM triggers WHERE workflow_name = :name AND deleted_at IS NULL)
AND NOT EXISTS (SELECT 1 FROM triggers AS t JOIN versions AS v ON v.workflow_id = t.workflow_id AND v.name = :name
    WHERE t.workflow_name IS NULL AND t.deleted_at IS NULL)
AND NOT EXISTS (SELECT 1 FROM former_triggers AS f JOIN triggers AS t ON t.id = f.trigger_id AND t.deleted_at IS NULL
    JOIN versions AS v ON v.workflow_id = f.workflow_id AND v.name = :name
    WHERE EXISTS (SELECT 1 FROM inbox WHERE processed_at IS NULL AND seq > f.after_seq AND seq <= f.until_seq))

-- Keep the definition of a trigger for the events so far, with the version that it starts by now.
-- name: KeepTrigger
INSERT INTO former_triggers (trigger_id, revision, event, event_name, workflow_id, workflow_name, version, filter, vars, after_seq, until_seq, replaced_at)
SELECT id, revision, event, event_name, coalesce((SELECT v.workflow_id FROM handles AS h JOIN versions AS v ON v.name = h.name AND v.n = h.current WHERE h.name = workflow_name), workflow_id),
    workflow_name, version, filter, vars, after_seq, (SELECT coalesce(max(seq), 0) FROM inbox), :at
FROM triggers WHERE id = :trigger_id AND revision = :revision AND deleted_at IS NULL
ON CONFLICT DO NOTHING

-- Give a trigger another definition, which begins where the earlier one ends, unless its workflow is gone.
-- name: ReplaceTrigger
UPDATE triggers SET event = :event, event_name = :event_name, workflow_id = :workflow_id, workflow_name = :workflow_name, version = :version,
    filter = :filter, vars = :vars, revision = :revision + 1,
    after_seq = (SELECT until_seq FROM former_triggers WHERE trigger_id = :trigger_id AND revision = :revision)
WHERE id = :trigger_id AND revision = :revision AND deleted_at IS NULL
AND EXISTS (SELECT 1 FROM workflows AS w WHERE w.id = :workflow_id AND w.deleted_at IS NULL)

-- Require that a trigger is not replaced.
-- name: RequireTrigger
UPDATE triggers SET revision = revision WHERE id = :trigger_id AND revision = :revision AND deleted_at IS NULL

-- Require that a set has no more and no fewer objects.
-- name: RequireSet
UPDATE journal_state SET engine = engine WHERE (SELECT count(*) FROM handles WHERE set_name = :set_name) = :workflows
AND (SELECT count(*) FROM triggers WHERE set_name = :set_name AND deleted_at IS NULL) = :triggers

-- Mark a trigger as deleted.
-- name: DeleteTrigger
UPDATE triggers SET deleted_at = :at WHERE id = :trigger_id AND deleted_at IS NULL

-- Store an event, or count a repeat; `AcceptEvent` explains the identities.
-- name: AcceptEvent
INSERT INTO inbox (key, type, envelope, received_at, depth, fingerprint, conflicts_with)
SELECT
    CASE
        WHEN placed IS NOT NULL THEN (SELECT key FROM inbox WHERE seq = placed)
        WHEN known IS NULL THEN :key
        WHEN is_equal THEN (SELECT key FROM inbox WHERE seq = known)
        ELSE :conflict_key
    END,
    :type, :envelope, :received_at, :depth, :fingerprint, CASE WHEN placed IS NULL AND NOT is_equal THEN known END
FROM (
    SELECT placed, known, (SELECT fingerprint IS NULL OR fingerprint = :fingerprint FROM inbox WHERE seq = known) AS is_equal
    FROM (
        SELECT
            coalesce(
                (SELECT seq FROM inbox WHERE key = :place),
                (SELECT seq FROM event_keys WHERE key = :place)
            ) AS placed,
            coalesce(
                (SELECT seq FROM inbox WHERE key = :key),
                (SELECT seq FROM event_keys WHERE key = :key),
                (
                    SELECT seq FROM inbox WHERE key = :old_key AND type = :type
                    AND (fingerprint IS NULL OR (fingerprint = :fingerprint AND substr(key, 1, 4) = 'key:'))
                )
            ) AS known
    )
)
WHERE true
ON CONFLICT (key) DO UPDATE SET repeats = repeats + 1, last_repeat_at = :received_at RETURNING seq, repeats, conflicts_with

-- Store a further identity of an event.
-- name: PlaceEvent
INSERT INTO event_keys (key, seq) VALUES (:key, :seq) ON CONFLICT (key) DO NOTHING

-- Store the fingerprint of an event's payload.
-- name: IdentifyEvent
UPDATE inbox SET fingerprint = :fingerprint WHERE seq = :seq

-- Count a repeat of a known event.
-- name: RepeatEvent
UPDATE inbox SET repeats = repeats + 1, last_repeat_at = :at WHERE seq = coalesce(
    (SELECT seq FROM inbox WHERE key = :key), (SELECT seq FROM event_keys WHERE key = :key), (SELECT seq FROM inbox WHERE key = :old_key))

-- Mark an event as processed.
-- name: ProcessEvent
UPDATE inbox SET processed_at = :at, served_s = (SELECT served_s FROM time_served) WHERE seq = :seq AND processed_at IS NULL

-- Empty envelopes of events processed before a moment of time served.
-- name: ForgetEnvelopes
UPDATE inbox SET envelope = NULL WHERE seq IN (
    SELECT seq FROM inbox WHERE served_s < :before_s AND processed_at IS NOT NULL AND envelope IS NOT NULL ORDER BY served_s LIMIT 200)
RETURNING seq

-- Store what a live trigger did for an event, once.
-- name: AddOccurrence
INSERT INTO occurrences (id, trigger_id, event_key, event, created_at, depth, instance_id, error)
SELECT :occurrence_id, :trigger_id, :event_key, :event, :created_at, :depth, :instance_id, :error WHERE EXISTS (SELECT 1 FROM triggers WHERE id = :trigger_id AND deleted_at IS NULL)
ON CONFLICT (trigger_id, event_key) DO NOTHING

-- Store how far a source was read, if its position is still the expected one.
-- name: MovePosition
INSERT INTO positions (source, position, served_s) SELECT :source, :position, served_s FROM time_served
WHERE :expected IS NULL OR EXISTS (SELECT 1 FROM positions WHERE source = :source AND position = :expected)
ON CONFLICT (source) DO UPDATE SET position = excluded.position, served_s = excluded.served_s WHERE position = :expected

-- Store when a publisher was last in use.
-- name: ConfirmPosition
UPDATE positions SET served_s = (SELECT served_s FROM time_served) WHERE source = :source

-- Let events of a type go into the outbox.
-- name: WantType
INSERT INTO wanted (type) VALUES (:type) ON CONFLICT (type) DO NOTHING

-- The types that are wanted; the writer reads them once in each commit that publishes.
-- name: wanted
SELECT type FROM wanted

-- Put an event into the outbox, unless nothing wants its type: type is then NULL, which OR IGNORE passes over.
-- name: Publish
INSERT OR IGNORE INTO outbox (type, happened_at, payload, instance_id, depth, served_s)
VALUES ((SELECT type FROM wanted WHERE type = :type), :happened_at, :payload, :instance_id, :depth, (SELECT served_s FROM time_served))
RETURNING seq

-- Note the number of the last event, at the end of a commit that has published.
-- name: move_outbox_end
UPDATE journal_state SET outbox_end = :seq

-- Remove events that every publisher in use has acknowledged, and old ones.
-- name: TrimOutbox
DELETE FROM outbox WHERE seq IN (
    SELECT seq FROM (SELECT seq, served_s FROM outbox ORDER BY seq LIMIT 200)
    WHERE seq <= (SELECT min(position) FROM positions WHERE source GLOB 'to:*' AND served_s >= :before_s) OR served_s < :before_s)
RETURNING seq

-- Store an event that a publisher refused.
-- name: AddDeadLetter
INSERT INTO set_aside (publisher, event_id, type, body, reason, at, served_s)
VALUES (:publisher, :event_id, :type, :body, :reason, :at, (SELECT served_s FROM time_served))
ON CONFLICT (publisher, event_id) DO NOTHING

-- Remove an event that the publisher has taken after all.
-- name: DropDeadLetter
DELETE FROM set_aside WHERE publisher = :publisher AND event_id = :event_id

-- Remove refused events stored before a moment of time served.
-- name: ForgetDeadLetters
DELETE FROM set_aside WHERE (publisher, event_id) IN (
    SELECT publisher, event_id FROM set_aside WHERE served_s < :before_s ORDER BY served_s LIMIT 200)
RETURNING at

-- Store who made a write.
-- name: AddAuditEntry
INSERT INTO audit (at, principal, client_id, operation, target) VALUES (:at, :principal, :client_id, :operation, :target)

-- Store the response to a caller's key.
-- name: RememberKey
INSERT INTO caller_keys (owner, key, fingerprint, status, body, operation, target, created_at, served_s)
VALUES (:owner, :key, :fingerprint, :status, :body, :operation, :target, :at, (SELECT served_s FROM time_served))

-- Remove keys stored before a moment of time served.
-- name: ForgetKeys
DELETE FROM caller_keys WHERE (owner, key) IN (
    SELECT owner, key FROM caller_keys WHERE served_s < :before_s ORDER BY served_s LIMIT 200)
RETURNING served_s

-- Add the seconds that a server has run.
-- name: ServeTime
UPDATE time_served SET served_s = served_s + :seconds RETURNING served_s

-- Try whether a commit succeeds.
-- name: Probe
UPDATE time_served SET probes = probes + 1 RETURNING probes

-- Reads

-- A workflow, also a deleted one.
-- name: workflow
SELECT id, name, config, created_at, updated_at, deleted_at FROM workflows WHERE id = :id

-- Workflows that are not deleted, the newest first.
-- name: workflows_page
SELECT id, name, config, created_at, updated_at, deleted_at FROM workflows
WHERE deleted_at IS NULL AND (created_at, id) < (:created_at, :id) ORDER BY created_at DESC, id DESC LIMIT :limit

-- An instance without its stages.
-- name: instance
SELECT id, workflow_id, CASE config WHEN '' THEN (SELECT w.config FROM workflows AS w WHERE w.id = workflow_id) ELSE config END,
    variables, created_at, updated_at, terminated_at, error, by_trigger, kind, root_id, from_stage, plan_id,
    CASE WHEN error IS NOT NULL THEN coalesce(failure, 'unclassified') END AS failure, failure_code FROM instances WHERE id = :id

-- All instances, the newest first.
-- name: instances_page
SELECT id, workflow_id, CASE config WHEN '' THEN (SELECT w.config FROM workflows AS w WHERE w.id = workflow_id) ELSE config END,
    variables, created_at, updated_at, terminated_at, error, by_trigger, kind, root_id, from_stage, plan_id,
    CASE WHEN error IS NOT NULL THEN coalesce(failure, 'unclassified') END AS failure, failure_code FROM instances
WHERE (created_at, id) < (:created_at, :id) ORDER BY created_at DESC, id DESC LIMIT :limit

-- Instances that have not ended, the newest first.
-- name: running_instances_page
SELECT id, workflow_id, CASE config WHEN '' THEN (SELECT w.config FROM workflows AS w WHERE w.id = workflow_id) ELSE config END,
    variables, created_at, updated_at, terminated_at, error, by_trigger, kind, root_id, from_stage, plan_id,
    CASE WHEN error IS NOT NULL THEN coalesce(failure, 'unclassified') END AS failure, failure_code FROM instances
WHERE terminated_at IS NULL AND (created_at, id) < (:created_at, :id) ORDER BY created_at DESC, id DESC LIMIT :limit

-- All instances of a workflow, the newest first.
-- name: instances_of_workflow_page
SELECT id, workflow_id, CASE config WHEN '' THEN (SELECT w.config FROM workflows AS w WHERE w.id = workflow_id) ELSE config END,
    variables, created_at, updated_at, terminated_at, error, by_trigger, kind, root_id, from_stage, plan_id,
    CASE WHEN error IS NOT NULL THEN coalesce(failure, 'unclassified') END AS failure, failure_code FROM instances
WHERE workflow_id = :workflow_id AND (created_at, id) < (:created_at, :id) ORDER BY created_at DESC, id DESC LIMIT :limit

-- Instances of a workflow that have not ended, the newest first.
-- name: running_instances_of_workflow_page
SELECT id, workflow_id, CASE config WHEN '' THEN (SELECT w.config FROM workflows AS w WHERE w.id = workflow_id) ELSE config END,
    variables, created_at, updated_at, terminated_at, error, by_trigger, kind, root_id, from_stage, plan_id,
    CASE WHEN error IS NOT NULL THEN coalesce(failure, 'unclassified') END AS failure, failure_code FROM instances
WHERE workflow_id = :workflow_id AND terminated_at IS NULL AND (created_at, id) < (:created_at, :id) ORDER BY created_at DESC, id DESC LIMIT :limit

-- The started stages of an instance, in order, each with the base of a packed input.
-- name: stages
SELECT instance_id, number, keyword, input, started_at, terminated_at, error, gate, deadline_at, gate_passed_at, outcome, skipped,
    CASE typeof(input) WHEN 'blob' THEN (SELECT text FROM instance_texts AS t WHERE t.instance_id = stages.instance_id) END
FROM stages WHERE instance_id = :instance_id ORDER BY number

-- The activities of a stage, in order.
-- name: activities
SELECT instance_id, stage, position, name, input, started_at, attempt, key, request_method, request_path, request_body,
    output, error, last_failure, next_execution_at, needs_attention, terminated_at, permitted_at
FROM activities WHERE instance_id = :instance_id AND stage = :stage ORDER BY position

-- The reads of stages, which are pairs of an instance and a number, in order.
-- name: reads
SELECT a.instance_id, a.stage, a.position, a.name, a.input, a.started_at, a.attempt, a.key, a.request_method, a.request_path, a.request_body,
    a.output, a.error, a.last_failure, a.next_execution_at, a.needs_attention, a.terminated_at, a.permitted_at
FROM json_each(:places) AS p CROSS JOIN activities AS a ON a.instance_id = p.value ->> 0 AND a.stage = p.value ->> 1
WHERE a.key = '' ORDER BY a.stage, a.position

-- The document of a plan, which is signed, and how many persons have approved it.
-- name: signed
SELECT document, (SELECT count(*) FROM decisions WHERE target = :plan_id AND verdict = 'approve') FROM plans WHERE id = :plan_id

-- Open effects that need attention, of one instance or of all, the newest instance first.
-- name: attention_page
SELECT i.id, i.created_at, i.workflow_id, (SELECT w.name FROM workflows AS w WHERE w.id = i.workflow_id) AS workflow_name, i.terminated_at,
    a.stage, a.position, a.name, a.key, a.started_at, a.attempt, a.request_method, a.request_path, a.request_body, a.last_failure, a.attention,
    coalesce(a.attention_at, a.started_at) AS since_at
FROM activities AS a JOIN instances AS i ON i.id = a.instance_id
WHERE a.needs_attention = 1 AND (:instance_id = '' OR i.id = :instance_id) AND (created_at, id) < (:created_at, :id) ORDER BY created_at DESC, id DESC LIMIT :limit

-- Places of open effects that need attention before a place, the nearest first.
-- name: attention_before
SELECT i.created_at, i.id FROM activities AS a JOIN instances AS i ON i.id = a.instance_id
WHERE a.needs_attention = 1 AND (:instance_id = '' OR i.id = :instance_id) AND (created_at, id) > (:created_at, :id) ORDER BY created_at, id LIMIT :limit

-- What came after an instance.
-- name: successor
SELECT predecessor, kind, successor, reason, principal, at, kept FROM successors WHERE predecessor = :predecessor

-- What an instance came after.
-- name: predecessor
SELECT predecessor, kind, successor, reason, principal, at, kept FROM successors WHERE successor = :successor

-- The instances that an instance continues, the nearest first, and where each began.
-- name: continued
WITH RECURSIVE chain (id, depth) AS (
    SELECT predecessor, 1 FROM successors WHERE successor = :instance_id AND kind = 'redrive'
    UNION ALL
    SELECT predecessor, depth + 1 FROM chain JOIN successors ON successor = chain.id AND kind = 'redrive'
)
SELECT i.id, coalesce(i.from_stage, 0) FROM chain JOIN instances AS i ON i.id = chain.id ORDER BY depth

-- What persons decided about effects of an instance.
-- name: resolutions
SELECT instance_id, stage, position, verdict, evidence, reason, principal, at FROM resolutions
WHERE instance_id = :instance_id ORDER BY stage, position

-- The response to a caller's key; '~' owns the rows of release 0.1.0.
-- name: remembered
SELECT owner, key, fingerprint, status, body, operation, target, created_at FROM caller_keys
WHERE owner IN (:owner, '~') AND key = :key ORDER BY owner LIMIT 1

-- Audit entries, the newest first.
-- name: audit_page
SELECT seq, at, principal, client_id, operation, target FROM audit WHERE seq < :before_seq ORDER BY seq DESC LIMIT :limit

-- Audit entries of a principal, the newest first.
-- name: audit_of_principal_page
SELECT seq, at, principal, client_id, operation, target FROM audit WHERE principal = :principal AND seq < :before_seq ORDER BY seq DESC LIMIT :limit

-- Audit entries of a target, of one principal or of all, the newest first.
-- name: audit_of_target_page
SELECT seq, at, principal, client_id, operation, target FROM audit
WHERE target = :target AND (:principal = '' OR principal = :principal) AND seq < :before_seq ORDER BY seq DESC LIMIT :limit

-- Instances that the engine must look at.
-- name: due
SELECT rowid, next_at, id FROM instances
WHERE (next_at, rowid) > (:after_at, :after_row) AND next_at <= :until_at ORDER BY next_at, rowid LIMIT :limit

-- Which unit of an instance comes next, and the last of its nudges.
-- name: version
SELECT version, (SELECT coalesce(max(seq), 0) FROM nudges WHERE instance_id = :id) FROM instances WHERE id = :id

-- Instances with a nudge that counts as overlooked, the oldest first.
-- name: stale_nudges
SELECT instance_id, max(seq), max(tries) FROM nudges WHERE at < :before_at GROUP BY instance_id ORDER BY min(at), instance_id LIMIT :limit

-- Instances with something to do or to wait for, by id.
-- name: open_instances
SELECT id FROM instances WHERE id > :after_id AND (terminated_at IS NULL OR next_at IS NOT NULL) ORDER BY id LIMIT :limit

-- Which engine drives the instances, and how many processes have owned the journal.
-- name: engine
SELECT engine, generation FROM journal_state

-- The wall clock of the database.
-- name: clock
SELECT CAST((julianday('now') - 2440587.5) * 86400000000 AS INTEGER)

-- When the next delay ends.
-- name: next_deadline
SELECT min(next_at) FROM instances WHERE next_at > :after_at

-- Instances that have not ended, and their activities that need attention.
-- name: counts
SELECT
    (SELECT count(*) FROM instances WHERE terminated_at IS NULL),
    (SELECT count(*) FROM activities AS a JOIN instances AS i ON i.id = a.instance_id
        WHERE a.needs_attention = 1 AND i.terminated_at IS NULL)

-- A trigger, also a deleted one.
-- name: trigger
SELECT id, name, event, coalesce((SELECT v.workflow_id FROM handles AS h JOIN versions AS v ON v.name = h.name AND v.n = h.current WHERE h.name = workflow_name), workflow_id) AS workflow_id,
    version, filter, vars, created_at, after_seq, deleted_at, workflow_name, (SELECT h.current FROM handles AS h WHERE h.name = workflow_name) AS current, handle, set_name, revision
FROM triggers WHERE id = :id

-- Triggers that are not deleted, the newest first.
-- name: triggers_page
SELECT id, name, event, coalesce((SELECT v.workflow_id FROM handles AS h JOIN versions AS v ON v.name = h.name AND v.n = h.current WHERE h.name = workflow_name), workflow_id) AS workflow_id,
    version, filter, vars, created_at, after_seq, deleted_at, workflow_name, (SELECT h.current FROM handles AS h WHERE h.name = workflow_name) AS current, handle, set_name, revision
FROM triggers
WHERE deleted_at IS NULL AND (created_at, id) < (:created_at, :id) ORDER BY created_at DESC, id DESC LIMIT :limit

-- A certificate.
-- name: certificate
SELECT id, subject, content, sha, previous, kid, created_at, from_at, to_at FROM certificates WHERE id = :certificate_id

-- The certificate of the last period that had ended at a time; of several for one period, the one made last.
-- name: certificate_before
SELECT id, subject, content, sha, previous, kid, created_at, from_at, to_at FROM certificates
WHERE to_at <= :at ORDER BY to_at DESC, created_at DESC, id DESC LIMIT 1

-- Instances that have ended, by the time of it.
-- name: ended_after
SELECT id, created_at, terminated_at, terminated_at FROM instances
WHERE terminated_at IS NOT NULL AND (terminated_at, id) > (:at, :id) ORDER BY terminated_at, id LIMIT :limit

-- Instances that have not ended, the oldest first.
-- name: running_after
SELECT id, created_at, NULL, NULL FROM instances
WHERE terminated_at IS NULL AND (created_at, id) > (:at, :id) ORDER BY created_at, id LIMIT :limit

-- Aborted instances, the oldest first. The last column: when the last of their stages was closed, NULL while one is open.
-- name: canceled_after
SELECT id, created_at, terminated_at, (
    SELECT CASE WHEN count(*) = count(stages.terminated_at) THEN max(stages.terminated_at) END
    FROM stages WHERE stages.instance_id = instances.id)
FROM instances WHERE status = 6 AND (created_at, id) > (:at, :id) ORDER BY created_at, id LIMIT :limit

-- The first key of certificates after an id: the index gives each key once.
-- name: certificate_key_after
SELECT kid, jwk FROM certificates WHERE kid > :kid ORDER BY kid LIMIT 1

-- A plan with its document.
-- name: plan
SELECT id, hash, subject, requester, created_at, expires_at, state, instance_id, document FROM plans WHERE id = :plan_id

-- The plan that started an instance, and the plans of the rest of it, the oldest first.
-- name: plans_of
SELECT id, hash, subject, requester, created_at, expires_at, state, instance_id, document FROM plans
WHERE instance_id = :instance_id OR rest_of = :instance_id
ORDER BY created_at, id

-- What persons decided about a plan, the oldest first.
-- name: decisions
SELECT target, principal, verdict, hash, reason, at FROM decisions WHERE target = :target ORDER BY at, principal

-- The principals that asked for an instance, also by the batch that made it, or that created a trigger, each with the
-- time of its first request. Who only acted on it afterwards, as by sending it an event, is none of them.
-- name: requesters
SELECT principal, min(at) FROM audit
WHERE target IN (SELECT :target UNION SELECT batch_id FROM batch_items WHERE made_id = :target) AND operation IN (
    'runWorkflow', 'v2RunWorkflow', 'runNamedWorkflow', 'runPlan', 'redriveInstance', 'undoInstance',
    'createTrigger', 'v2CreateTrigger', 'putTrigger', 'apply', 'createBatch', 'startBatch', 'resumeBatch')
GROUP BY principal ORDER BY min(at), principal

-- The principals that made the version of a name which a trigger starts by it, and that have moved the name since then.
-- For an instance, the trigger as it was when the event was accepted; without one, as it is now.
-- name: movers
WITH event (seq) AS (
    SELECT coalesce((SELECT e.seq FROM occurrences AS o JOIN inbox AS e ON e.key = o.event_key WHERE o.instance_id = :instance_id), 9223372036854775807)),
started (name, principal, at) AS (
    SELECT v.name, v.principal, v.created_at FROM event, versions AS v WHERE v.workflow_id = :workflow_id AND v.name IN (
        SELECT t.workflow_name FROM triggers AS t WHERE t.id = :trigger_id AND t.after_seq < event.seq
        UNION SELECT f.workflow_name FROM former_triggers AS f WHERE f.trigger_id = :trigger_id AND f.after_seq < event.seq AND event.seq <= f.until_seq))
SELECT principal, at FROM started UNION SELECT a.principal, a.at FROM started AS s JOIN audit AS a ON a.target = s.name
WHERE a.operation IN ('putWorkflow', 'apply') AND a.at >= s.at AND a.at <= :until_at
ORDER BY 2, 1

-- The principals that asked for instances, or moved a name to what a trigger started: for each one of their cases so far.
-- NULL: one that is unknown.
-- name: case_requesters
WITH RECURSIVE cases (id) AS (
    SELECT value FROM json_each(:instance_ids)
    UNION SELECT s.predecessor FROM successors AS s JOIN cases AS c ON s.successor = c.id),
targets (id, target) AS (
    SELECT c.id, coalesce((SELECT o.trigger_id FROM occurrences AS o WHERE o.instance_id = c.id), c.id) FROM cases AS c
    UNION ALL SELECT c.id, t.batch_id FROM cases AS c JOIN batch_items AS t ON t.made_id = c.id),
asking (id, principal) AS (
    SELECT t.id, a.principal FROM targets AS t JOIN audit AS a ON a.target = t.target WHERE a.operation IN (
        'runWorkflow', 'v2RunWorkflow', 'runNamedWorkflow', 'runPlan', 'redriveInstance', 'undoInstance',
        'createTrigger', 'v2CreateTrigger', 'putTrigger', 'apply', 'createBatch', 'startBatch', 'resumeBatch')
    UNION SELECT c.id, s.principal FROM cases AS c JOIN successors AS s ON s.successor = c.id
    UNION SELECT c.id, p.requester FROM cases AS c JOIN instances AS i ON i.id = c.id JOIN plans AS p ON p.id = i.plan_id
        WHERE p.instance_id IS NOT NULL),
moved (name, principal, at, until_at) AS (
    SELECT v.name, v.principal, v.created_at, i.created_at FROM cases AS c JOIN occurrences AS o ON o.instance_id = c.id
    JOIN inbox AS e ON e.key = o.event_key
    JOIN instances AS i ON i.id = c.id JOIN versions AS v ON v.workflow_id = i.workflow_id AND v.name IN (
        SELECT t.workflow_name FROM triggers AS t WHERE t.id = o.trigger_id AND t.after_seq < e.seq
        UNION SELECT f.workflow_name FROM former_triggers AS f WHERE f.trigger_id = o.trigger_id AND f.after_seq < e.seq AND e.seq <= f.until_seq))
SELECT principal FROM asking UNION SELECT NULL FROM cases WHERE id NOT IN (SELECT id FROM asking)
UNION SELECT principal FROM moved UNION SELECT a.principal FROM moved AS m JOIN audit AS a ON a.target = m.name
WHERE a.operation IN ('putWorkflow', 'apply') AND a.at >= m.at AND a.at <= m.until_at

-- Why an instance was aborted, where somebody has said so.
-- name: abort_reason
SELECT abort_reason FROM instances WHERE id = :instance_id AND abort_reason IS NOT NULL

-- The trigger that started an instance.
-- name: trigger_of
SELECT trigger_id FROM occurrences WHERE instance_id = :instance_id

-- Plans without their documents, the newest first.
-- name: plans_page
SELECT id, hash, subject, requester, created_at, expires_at, state, instance_id FROM plans
WHERE (created_at, id) < (:created_at, :id) ORDER BY created_at DESC, id DESC LIMIT :limit

-- Plans that are in a state at a time, the newest first. A plan that is not used expires.
-- name: plans_in_state_page
SELECT id, hash, subject, requester, created_at, expires_at, state, instance_id FROM plans
WHERE CASE WHEN state IN ('open', 'approved') AND expires_at <= :at THEN 'expired' ELSE state END = :state AND (created_at, id) < (:created_at, :id) ORDER BY created_at DESC, id DESC LIMIT :limit

-- Places of plans before a place, the nearest first.
-- name: plans_before
SELECT created_at, id FROM plans WHERE (created_at, id) > (:created_at, :id) ORDER BY created_at, id LIMIT :limit

-- Places of plans in a state before a place, the nearest first.
-- name: plans_in_state_before
SELECT created_at, id FROM plans
WHERE CASE WHEN state IN ('open', 'approved') AND expires_at <= :at THEN 'expired' ELSE state END = :state AND (created_at, id) > (:created_at, :id) ORDER BY created_at, id LIMIT :limit

-- A batch.
-- name: batch
SELECT id, kind, selection, rate, max_open, stop_after, reason, principal, created_at, items, state, planned, open, streak, hash, summary, why, starter, started_at, ended_at
FROM batches WHERE id = :batch_id

-- Batches, the newest first.
-- name: batches_page
SELECT id, kind, selection, rate, max_open, stop_after, reason, principal, created_at, items, state, planned, open, streak, hash, summary, why, starter, started_at, ended_at
FROM batches WHERE (created_at, id) < (:created_at, :id) ORDER BY created_at DESC, id DESC LIMIT :limit

-- Places of batches before a place, the nearest first.
-- name: batches_before
SELECT created_at, id FROM batches WHERE (created_at, id) > (:created_at, :id) ORDER BY created_at, id LIMIT :limit

-- Batches that a driver has something to do for.
-- name: batches_under_way
SELECT id FROM batches WHERE state IN ('previewing', 'running') OR open > 0 ORDER BY id

-- Items of a batch after one of them, without their documents.
-- name: batch_items
SELECT n, instance_id, state, code, message, made_id, hash, started_at, ended_at, run
FROM batch_items WHERE batch_id = :batch_id AND n > :after_n ORDER BY n LIMIT :limit

-- Items of a batch in one state after one of them, without their documents.
-- name: batch_items_in_state
SELECT n, instance_id, state, code, message, made_id, hash, started_at, ended_at, run
FROM batch_items WHERE batch_id = :batch_id AND state = :state AND n > :after_n ORDER BY n LIMIT :limit

-- An item with its document.
-- name: batch_item
SELECT n, instance_id, state, code, message, made_id, hash, started_at, ended_at, run, document
FROM batch_items WHERE batch_id = :batch_id AND n = :n

-- The items of a batch by state and code.
-- name: batch_counts
SELECT state, code, count(*) FROM batch_items WHERE batch_id = :batch_id GROUP BY state, code ORDER BY state, code

-- Started items whose instance has ended, with no effect open.
-- name: item_endings
SELECT t.n, i.terminated_at, i.error, i.failure, i.failure_code
FROM batch_items AS t JOIN instances AS i ON i.id = coalesce(t.made_id, t.instance_id)
WHERE t.batch_id = :batch_id AND t.state = 'started' AND i.terminated_at IS NOT NULL
AND NOT EXISTS (SELECT 1 FROM activities AS a WHERE a.instance_id = i.id AND a.terminated_at IS NULL)
ORDER BY i.terminated_at, t.n LIMIT :limit

-- Triggers whose name contains a text in any case, the newest first.
-- name: named_triggers_page
SELECT id, name, event, coalesce((SELECT v.workflow_id FROM handles AS h JOIN versions AS v ON v.name = h.name AND v.n = h.current WHERE h.name = workflow_name), workflow_id) AS workflow_id,
    version, filter, vars, created_at, after_seq, deleted_at, workflow_name, (SELECT h.current FROM handles AS h WHERE h.name = workflow_name) AS current, handle, set_name, revision
FROM triggers
WHERE deleted_at IS NULL AND instr(name_folded, :name) AND (created_at, id) < (:created_at, :id) ORDER BY created_at DESC, id DESC LIMIT :limit

-- Triggers on an event by either of its names, made before it was accepted; of one that was replaced later, the definition
-- of that time. The workflow of one that names it is the version that is current; a definition of before has its own.
-- name: triggers_on
SELECT id, name, event, coalesce((SELECT v.workflow_id FROM handles AS h JOIN versions AS v ON v.name = h.name AND v.n = h.current WHERE h.name = workflow_name), workflow_id) AS workflow_id,
    version, filter, vars, created_at, after_seq, deleted_at, workflow_name, (SELECT h.current FROM handles AS h WHERE h.name = workflow_name) AS current, handle, set_name, revision
FROM triggers
WHERE deleted_at IS NULL AND event_name IN (:name, :other_name) AND after_seq < :seq
UNION ALL
SELECT t.id, t.name, f.event, f.workflow_id, f.version, f.filter, f.vars, t.created_at, f.after_seq, t.deleted_at, NULL, NULL, t.handle, t.set_name, f.revision
FROM former_triggers AS f JOIN triggers AS t ON t.id = f.trigger_id
WHERE f.event_name IN (:name, :other_name) AND f.after_seq < :seq AND f.until_seq >= :seq AND t.deleted_at IS NULL
ORDER BY 8, 1

-- A name with its current version.
-- name: handle
SELECT h.name, h.current, (SELECT v.workflow_id FROM versions AS v WHERE v.name = h.name AND v.n = h.current), h.set_name, h.created_at, h.updated_at
FROM handles AS h WHERE h.name = :name

-- Names with their current versions, the newest first.
-- name: handles_page
SELECT h.name, h.current, (SELECT v.workflow_id FROM versions AS v WHERE v.name = h.name AND v.n = h.current), h.set_name, h.created_at, h.updated_at
FROM handles AS h
WHERE (h.created_at, h.name) < (:created_at, :name) ORDER BY h.created_at DESC, h.name DESC LIMIT :limit

-- Places of names before a place, the nearest first.
-- name: handles_before
SELECT created_at, name FROM handles WHERE (created_at, name) > (:created_at, :name) ORDER BY created_at, name LIMIT :limit

-- The versions of a name, the newest first.
-- name: versions
SELECT v.name, v.n, v.workflow_id, v.definition_hash, v.created_at, v.principal, w.deleted_at
FROM versions AS v JOIN workflows AS w ON w.id = v.workflow_id WHERE v.name = :name ORDER BY v.n DESC

-- The triggers that start a name, by it or by the id of one of its versions, and whether events wait that are later than
-- the definition; then the earlier definitions for which events wait, of which a version may be needed.
-- name: uses_of_name
SELECT t.id, FALSE, EXISTS (SELECT 1 FROM inbox AS e WHERE e.processed_at IS NULL AND e.seq > t.after_seq)
FROM triggers AS t WHERE t.deleted_at IS NULL AND (t.workflow_name = :name
    OR (t.workflow_name IS NULL AND t.workflow_id IN (SELECT v.workflow_id FROM versions AS v WHERE v.name = :name)))
UNION ALL
SELECT DISTINCT f.trigger_id, TRUE, TRUE FROM former_triggers AS f JOIN triggers AS t ON t.id = f.trigger_id AND t.deleted_at IS NULL
JOIN versions AS v ON v.workflow_id = f.workflow_id AND v.name = :name
WHERE EXISTS (SELECT 1 FROM inbox AS e WHERE e.processed_at IS NULL AND e.seq > f.after_seq AND e.seq <= f.until_seq)
ORDER BY 2, 1

-- The trigger that is kept under a name.
-- name: kept_trigger
SELECT id, name, event, coalesce((SELECT v.workflow_id FROM handles AS h JOIN versions AS v ON v.name = h.name AND v.n = h.current WHERE h.name = workflow_name), workflow_id) AS workflow_id,
    version, filter, vars, created_at, after_seq, deleted_at, workflow_name, (SELECT h.current FROM handles AS h WHERE h.name = workflow_name) AS current, handle, set_name, revision
FROM triggers WHERE handle = :handle AND deleted_at IS NULL

-- Triggers that are kept under names, the newest first.
-- name: kept_triggers_page
SELECT id, name, event, coalesce((SELECT v.workflow_id FROM handles AS h JOIN versions AS v ON v.name = h.name AND v.n = h.current WHERE h.name = workflow_name), workflow_id) AS workflow_id,
    version, filter, vars, created_at, after_seq, deleted_at, workflow_name, (SELECT h.current FROM handles AS h WHERE h.name = workflow_name) AS current, handle, set_name, revision
FROM triggers
WHERE handle IS NOT NULL AND deleted_at IS NULL AND (created_at, id) < (:created_at, :id) ORDER BY created_at DESC, id DESC LIMIT :limit

-- Places of triggers that are kept under names before a place, the nearest first.
-- name: kept_triggers_before
SELECT created_at, id FROM triggers
WHERE handle IS NOT NULL AND deleted_at IS NULL AND (created_at, id) > (:created_at, :id) ORDER BY created_at, id LIMIT :limit

-- How many triggers are not deleted.
-- name: trigger_count
SELECT count(*) FROM triggers WHERE deleted_at IS NULL

-- Events of release 0.1.0 without a fingerprint, in order.
-- name: unidentified_events
SELECT seq, key, type, envelope, received_at, processed_at, repeats, last_repeat_at, depth, conflicts_with FROM inbox
WHERE fingerprint IS NULL AND envelope IS NOT NULL AND seq > :after_seq ORDER BY seq LIMIT :limit

-- Events that are not processed, in order.
-- name: waiting_events
SELECT seq, key, type, envelope, received_at, processed_at, repeats, last_repeat_at, depth, conflicts_with FROM inbox
WHERE processed_at IS NULL AND seq > :after_seq ORDER BY seq LIMIT :limit

-- Events in conflict with an earlier one, the newest first.
-- name: conflicting_events_page
SELECT seq, key, type, NULL, received_at, processed_at, repeats, last_repeat_at, depth, conflicts_with FROM inbox
WHERE conflicts_with IS NOT NULL AND seq < :before_seq ORDER BY seq DESC LIMIT :limit

-- Events, the newest first.
-- name: events_page
SELECT seq, key, type, NULL, received_at, processed_at, repeats, last_repeat_at, depth, conflicts_with FROM inbox
WHERE seq < :before_seq ORDER BY seq DESC LIMIT :limit

-- Events that came more than once, the newest first.
-- name: repeated_events_page
SELECT seq, key, type, NULL, received_at, processed_at, repeats, last_repeat_at, depth, conflicts_with FROM inbox
WHERE repeats > 0 AND seq < :before_seq ORDER BY seq DESC LIMIT :limit

-- Occurrences of a trigger, the newest first.
-- name: occurrences_page
SELECT id, trigger_id, event_key, event, created_at, depth, instance_id, error FROM occurrences
WHERE trigger_id = :trigger_id AND (created_at, id) < (:created_at, :id) ORDER BY created_at DESC, id DESC LIMIT :limit

-- What a trigger did for an event.
-- name: occurrence
SELECT id, trigger_id, event_key, event, created_at, depth, instance_id, error FROM occurrences
WHERE trigger_id = :trigger_id AND event_key = :event_key

-- How many triggers led to an instance.
-- name: depth_of_instance
SELECT depth FROM occurrences WHERE instance_id = coalesce((SELECT root_id FROM instances WHERE id = :instance_id), :instance_id)

-- How many triggers led to the last instance that wrote this metadata.
-- name: depth_of_metadata
SELECT coalesce((SELECT depth FROM occurrences WHERE instance_id = (SELECT coalesce(root_id, id) FROM instances WHERE id = activities.instance_id)), 0) FROM activities
WHERE name = 'AddAccountMetadata' AND request_path = :path AND substr(request_body, 1, 64) = substr(:body, 1, 64) AND request_body = :body
ORDER BY started_at DESC LIMIT 1

-- How many triggers led to an instance that asked for a transfer at this moment.
-- name: depth_of_initiation
SELECT coalesce(max((SELECT depth FROM occurrences WHERE instance_id = (SELECT coalesce(root_id, id) FROM instances WHERE id = activities.instance_id))), 0) FROM activities
WHERE scheduled_at = :scheduled_at

-- How far a source was read.
-- name: position
SELECT position FROM positions WHERE source = :source

-- The journal's own name.
-- name: identity
SELECT id FROM identity

-- Events on their way out, in order.
-- name: outbox_page
SELECT seq, type, happened_at, payload,
    coalesce(depth, (SELECT depth FROM occurrences WHERE instance_id = (SELECT coalesce(root_id, id) FROM instances WHERE id = outbox.instance_id)), 0)
FROM outbox WHERE seq > :after_seq ORDER BY seq LIMIT :limit

-- Events that a publisher refused, the newest first.
-- name: set_aside_page
SELECT publisher, event_id, type, body, reason, at FROM set_aside WHERE at > 0 ORDER BY at DESC LIMIT :limit

-- Events that one publisher refused, in the order in which they happened: the ids of one journal end with a number.
-- name: dead_letters_of
SELECT publisher, event_id, type, body, reason, at FROM set_aside
WHERE publisher = :publisher AND event_id = coalesce(:event_id, event_id) ORDER BY at, length(event_id), event_id LIMIT :limit

-- The terms of a range, each once: every one is found from the one before.
-- name: terms_between
WITH RECURSIVE found (term) AS (
    SELECT min(term) FROM lookups WHERE term >= :first AND term < :before
    UNION ALL
    SELECT (SELECT min(term) FROM lookups WHERE term > found.term AND term < :before) FROM found WHERE found.term IS NOT NULL
)
SELECT term FROM found WHERE term IS NOT NULL LIMIT :limit

-- Places of the instances that have a term, the newest first.
-- name: places_of_term
SELECT created_at, instance_id FROM lookups
WHERE term = :term AND (created_at, instance_id) < (:created_at, :id) ORDER BY created_at DESC, instance_id DESC LIMIT :limit

-- Places of the next instances that have an id with this end.
-- name: places_of_end
SELECT created_at, id FROM (
    SELECT created_at, id FROM instances WHERE (created_at, id) < (:created_at, :id) ORDER BY created_at DESC, id DESC LIMIT :limit
) AS next WHERE substr(id, -12) = :end ORDER BY created_at DESC, id DESC

-- The place so many instances further on.
-- name: place_beyond
SELECT created_at, id FROM instances WHERE (created_at, id) < (:created_at, :id) ORDER BY created_at DESC, id DESC LIMIT 1 OFFSET :offset

-- Places of instances with terms of a range, by term.
-- name: places_between_terms
SELECT created_at, instance_id FROM lookups WHERE term >= :first AND term < :before ORDER BY term, created_at LIMIT :limit

-- The number of the last event that was ever in the outbox.
-- name: outbox_end
SELECT outbox_end FROM journal_state

-- Why no server may run on the journal, and since when.
-- name: closed
SELECT closed, closed_at FROM journal_state

-- Places of workflows before a place, the nearest first.
-- name: workflows_before
SELECT created_at, id FROM workflows
WHERE deleted_at IS NULL AND (created_at, id) > (:created_at, :id) ORDER BY created_at, id LIMIT :limit

-- Places of instances before a place, the nearest first.
-- name: instances_before
SELECT created_at, id FROM instances
WHERE (created_at, id) > (:created_at, :id) ORDER BY created_at, id LIMIT :limit

-- Places of running instances before a place, the nearest first.
-- name: running_instances_before
SELECT created_at, id FROM instances
WHERE terminated_at IS NULL AND (created_at, id) > (:created_at, :id) ORDER BY created_at, id LIMIT :limit

-- Places of a workflow's instances before a place, the nearest first.
-- name: instances_of_workflow_before
SELECT created_at, id FROM instances
WHERE workflow_id = :workflow_id AND (created_at, id) > (:created_at, :id) ORDER BY created_at, id LIMIT :limit

-- Places of a workflow's running instances before a place, the nearest first.
-- name: running_instances_of_workflow_before
SELECT created_at, id FROM instances
WHERE workflow_id = :workflow_id AND terminated_at IS NULL AND (created_at, id) > (:created_at, :id) ORDER BY created_at, id LIMIT :limit

-- Places of triggers before a place, the nearest first.
-- name: triggers_before
SELECT created_at, id FROM triggers
WHERE deleted_at IS NULL AND (created_at, id) > (:created_at, :id) ORDER BY created_at, id LIMIT :limit

-- Places of triggers whose name contains a text, the nearest first.
-- name: named_triggers_before
SELECT created_at, id FROM triggers
WHERE deleted_at IS NULL AND instr(name_folded, :name) AND (created_at, id) > (:created_at, :id) ORDER BY created_at, id LIMIT :limit

-- Places of a trigger's occurrences before a place, the nearest first.
-- name: occurrences_before
SELECT created_at, id FROM occurrences
WHERE trigger_id = :trigger_id AND (created_at, id) > (:created_at, :id) ORDER BY created_at, id LIMIT :limit
