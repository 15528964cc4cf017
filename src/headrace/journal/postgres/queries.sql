-- The queries of the PostgreSQL journal. `name: X` begins one, after a sentence that says what it does.
-- A write takes records of one kind as JSON: `:rows` stands for them, a row each, with the fields of `journal/writes.py` as
-- columns of `r`, and their number `r.n`. Bytes come in base64. The parameters of a read are named, and numbered in the order
-- of their first use.

-- Writes

-- Store definitions.
-- name: AddWorkflow
INSERT INTO workflows (id, name, config, created_at, updated_at) SELECT r.workflow_id, r.name, r.config, r.created_at, r.updated_at FROM :rows

-- Mark workflows as deleted; their instances go on.
-- name: DeleteWorkflow
UPDATE workflows SET deleted_at = r.at, updated_at = greatest(updated_at, r.at) FROM :rows WHERE id = r.workflow_id AND deleted_at IS NULL

-- Store new instances, but those whose workflow is gone. A definition that is its workflow's own is not stored again.
-- name: AddInstance
INSERT INTO instances (id, workflow_id, config, variables, created_at, updated_at, by_trigger, next_at, kind, root_id, from_stage, plan_id, amount)
SELECT r.instance_id, r.workflow_id, CASE WHEN w.config = r.config THEN '' ELSE r.config END, r.variables, r.created_at, r.created_at, r.by_trigger, 0,
    r.kind, r.root_id, r.from_stage, r.plan_id, r.amount
FROM :rows JOIN workflows AS w ON w.id = r.workflow_id AND w.deleted_at IS NULL

-- Store what the first effects of instances move.
-- name: NoteAmount
UPDATE instances SET amount = r.amount FROM :rows WHERE id = r.instance_id AND instances.amount IS NULL

-- Move running instances on.
-- name: MoveInstance
UPDATE instances SET updated_at = r.at, next_at = r.next_at FROM :rows WHERE id = r.instance_id AND terminated_at IS NULL

-- End running instances.
-- name: EndInstance
UPDATE instances SET terminated_at = r.at, updated_at = r.at, error = r.error, failure = r.failure, failure_code = r.failure_code,
    next_at = NULL, version = r.version + 1
FROM :rows WHERE id = r.instance_id AND instances.version = r.version AND terminated_at IS NULL

-- Raise the version of instances that are where their readers left them.
-- name: ClaimVersion
UPDATE instances SET version = r.version + 1 FROM :rows WHERE id = r.instance_id AND instances.version = r.version

-- Set when the engine looks at instances, running or not.
-- name: ScheduleInstance
UPDATE instances SET next_at = r.next_at FROM :rows WHERE id = r.instance_id

-- Show running instances as retrying, as in need of attention, or as neither.
-- name: MarkTrouble
UPDATE instances SET trouble = r.trouble FROM :rows WHERE id = r.instance_id AND terminated_at IS NULL

-- Store instances that continue others.
-- name: AddContinuation
INSERT INTO instances (id, workflow_id, config, variables, created_at, updated_at, by_trigger, next_at, kind, root_id, from_stage, plan_id)
SELECT r.instance_id, i.workflow_id, i.config, i.variables, r.created_at, r.created_at, i.by_trigger, 0, 'continuation', r.root_id, r.from_stage, COALESCE(r.plan_id, i.plan_id)
FROM :rows JOIN instances AS i ON i.id = r.predecessor

-- Store what comes after instances that have ended, unless something has.
-- name: AddSuccessor
INSERT INTO successors (predecessor, kind, successor, reason, principal, at, kept)
SELECT r.predecessor, r.kind, r.successor, r.reason, r.principal, r.at, r.kept FROM :rows
JOIN instances AS i ON i.id = r.predecessor AND i.terminated_at IS NOT NULL
WHERE NOT EXISTS (SELECT 1 FROM activities AS a WHERE a.instance_id = r.predecessor AND a.terminated_at IS NULL)
ON CONFLICT DO NOTHING

-- Move unused events to other mailboxes.
-- name: CarryEvents
UPDATE events SET instance_id = r.instance_id FROM :rows WHERE events.instance_id = r.predecessor AND events.stage IS NULL

-- Make instances findable by their variables.
-- name: AddVariables
INSERT INTO instance_variables (fingerprint, created_at, instance_id)
SELECT each::bigint, r.created_at, r.instance_id FROM :rows CROSS JOIN LATERAL json_array_elements_text(r.fingerprints::json) AS each
ON CONFLICT DO NOTHING

-- Make instances findable by the terms of their effects.
-- name: AddLookups
INSERT INTO lookups (term, created_at, instance_id)
SELECT each, r.created_at, r.instance_id FROM :rows CROSS JOIN LATERAL json_array_elements_text(r.terms::json) AS each
ON CONFLICT DO NOTHING

-- Store stages that have begun.
-- name: OpenStage
INSERT INTO stages (instance_id, number, keyword, input, started_at) SELECT r.instance_id, r.number, r.keyword, r.input, r.started_at FROM :rows

-- Store stages that ended as they began.
-- name: AddClosedStage
INSERT INTO stages (instance_id, number, keyword, input, started_at, terminated_at, error)
SELECT r.instance_id, r.number, r.keyword, r.input, r.started_at, r.terminated_at, r.error FROM :rows

-- Replace the input of open stages.
-- name: AmendStage
UPDATE stages SET input = r.input FROM :rows WHERE stages.instance_id = r.instance_id AND stages.number = r.number AND terminated_at IS NULL

-- Close open stages.
-- name: CloseStage
UPDATE stages SET terminated_at = r.terminated_at, error = r.error
FROM :rows WHERE stages.instance_id = r.instance_id AND stages.number = r.number AND stages.terminated_at IS NULL

-- Store the intents of activities.
-- name: OpenActivity
INSERT INTO activities (instance_id, stage, position, name, input, started_at, attempt, key, request_method, request_path, request_body, scheduled_at)
SELECT r.instance_id, r.stage, r.position, r.name, r.input, r.started_at, r.attempt, r.key, r.request_method, r.request_path,
    decode(r.request_body, 'base64'), r.scheduled_at FROM :rows

-- Store activities that have ended.
-- name: AddClosedActivity
INSERT INTO activities (instance_id, stage, position, name, input, started_at, attempt, key, request_method, request_path, request_body,
    output, error, last_failure, terminated_at)
SELECT r.instance_id, r.stage, r.position, r.name, r.input, r.started_at, r.attempt, r.key, r.request_method, r.request_path,
    decode(r.request_body, 'base64'), r.output, r.error, r.last_failure, r.terminated_at FROM :rows

-- Count attempts before they are sent, and note when.
-- name: BeginAttempt
UPDATE activities AS a SET attempt = r.attempt, permitted_at = (extract(epoch FROM clock_timestamp()) * 1000000)::bigint
FROM :rows WHERE a.instance_id = r.instance_id AND a.stage = r.stage AND a.position = r.position AND a.attempt = r.attempt - 1 AND a.terminated_at IS NULL

-- Record failed attempts of open activities.
-- name: FailAttempt
UPDATE activities AS a SET attempt = r.attempt, last_failure = r.failure, next_execution_at = r.next_execution_at, needs_attention = r.needs_attention,
    attention = r.attention, attention_at = coalesce(a.attention_at, r.attention_at)
FROM :rows WHERE a.instance_id = r.instance_id AND a.stage = r.stage AND a.position = r.position AND a.terminated_at IS NULL

-- Record the outcomes of open activities.
-- name: CloseActivity
UPDATE activities AS a SET attempt = r.attempt, output = r.output, error = r.error, next_execution_at = NULL, needs_attention = false,
    terminated_at = r.terminated_at
FROM :rows WHERE a.instance_id = r.instance_id AND a.stage = r.stage AND a.position = r.position AND a.terminated_at IS NULL

-- Store what persons decided about open effects that need attention.
-- name: AddResolution
INSERT INTO resolutions (instance_id, stage, position, verdict, evidence, proof, reason, principal, at)
SELECT r.instance_id, r.stage, r.position, r.verdict, r.evidence, r.proof, r.reason, r.principal, r.at
FROM :rows JOIN activities AS a ON a.instance_id = r.instance_id AND a.stage = r.stage AND a.position = r.position
WHERE a.needs_attention AND a.terminated_at IS NULL ON CONFLICT DO NOTHING

-- Put events into the mailboxes of running instances. Each is locked: of a process that sends an event and one that lets
-- the instance wait for it, one sees what the other did.
-- name: AddEvent
INSERT INTO events (instance_id, name, received_at)
SELECT r.instance_id, r.name, r.received_at
FROM :rows CROSS JOIN LATERAL (SELECT id FROM instances WHERE id = r.instance_id AND terminated_at IS NULL FOR NO KEY UPDATE) AS i ORDER BY r.n

-- Let the engine look at instances that wait for an event.
-- name: WakeInstance
UPDATE instances SET next_at = 0 FROM :rows WHERE id = r.instance_id AND terminated_at IS NULL AND (next_at IS NULL OR next_at > 0) AND EXISTS (
    SELECT 1 FROM stages AS s WHERE s.instance_id = r.instance_id AND s.keyword = 'wait_event' AND s.terminated_at IS NULL)

-- Consume the oldest event of a name, or the one that this stage has consumed before.
-- name: TakeEvent
UPDATE events SET stage = r.stage FROM :rows WHERE seq = (
    SELECT e.seq FROM events AS e WHERE e.instance_id = r.instance_id AND e.name = r.name AND (e.stage IS NULL OR e.stage = r.stage)
    ORDER BY (e.stage IS NULL), e.seq LIMIT 1
) RETURNING r.n, seq

-- Let instances wait, or go on at once where their stage has consumed an event.
-- name: WaitForEvent
UPDATE instances SET updated_at = r.at, next_at = coalesce((SELECT 0 FROM events AS e WHERE e.instance_id = r.instance_id AND e.stage = r.stage), r.until_at)
FROM :rows WHERE id = r.instance_id AND terminated_at IS NULL

-- Let stages wait no longer, if the mailbox holds no event for them.
-- name: EndWait
UPDATE stages SET outcome = 'timeout' FROM :rows WHERE stages.instance_id = r.instance_id AND stages.number = r.number
AND stages.terminated_at IS NULL AND NOT EXISTS (
    SELECT 1 FROM events AS e WHERE e.instance_id = r.instance_id AND e.name = r.name AND (e.stage IS NULL OR e.stage = r.number))

-- Ask for a look at instances.
-- name: AddNudge
INSERT INTO nudges (instance_id, why, at) SELECT r.instance_id, r.why, r.at FROM :rows ORDER BY r.n

-- Remove the nudges of instances that a look has answered.
-- name: DropNudges
DELETE FROM nudges USING :rows WHERE nudges.instance_id = r.instance_id AND nudges.seq <= r.seq

-- Let nudges that were repeated count as overlooked later.
-- name: PostponeNudges
UPDATE nudges SET tries = tries + 1, at = r.at FROM :rows WHERE nudges.instance_id = r.instance_id AND nudges.seq <= r.seq

-- Hand the journal from one engine to another.
-- name: SwitchEngine
UPDATE journal_state SET engine = r.engine FROM :rows WHERE journal_state.engine = r.before

-- Count a process that becomes the owner of the journal.
-- name: RaiseGeneration
UPDATE journal_state SET generation = r.generation + 1 FROM :rows WHERE journal_state.generation = r.generation

-- Store triggers that fire for later events, but those whose workflow is gone.
-- name: AddTrigger
INSERT INTO triggers (id, name, event, event_name, workflow_id, version, filter, vars, created_at, after_seq, name_folded, workflow_name, handle, set_name)
SELECT r.trigger_id, r.name, r.event, r.event_name, r.workflow_id, r.version, r.filter, r.vars, r.created_at, (SELECT coalesce(max(seq), 0) FROM inbox), r.name_folded, r.workflow_name, r.handle, r.set_name
FROM :rows JOIN workflows AS w ON w.id = r.workflow_id AND w.deleted_at IS NULL
ON CONFLICT DO NOTHING

-- Store why instances are aborted.
-- name: NoteAbort
UPDATE instances SET abort_reason = r.reason FROM :rows WHERE id = r.instance_id

-- Store plans, open.
-- name: AddPlan
INSERT INTO plans (id, hash, document, subject, requester, created_at, expires_at, state, rest_of)
SELECT r.plan_id, r.hash, r.document, r.subject, r.requester, r.created_at, r.expires_at, 'open', r.rest_of FROM :rows

-- Store certificates.
-- name: AddCertificate
INSERT INTO certificates (id, subject, content, sha, previous, kid, jwk, created_at, from_at, to_at)
SELECT r.certificate_id, r.subject, r.content, r.sha, r.previous, r.kid, r.jwk, r.created_at, r.from_at, r.to_at FROM :rows

-- Let plans start their one instance, unless they have one or have expired.
-- name: UsePlan
UPDATE plans SET state = 'used', instance_id = r.instance_id
FROM :rows WHERE id = r.plan_id AND state IN ('open', 'approved') AND plans.instance_id IS NULL AND expires_at > r.at

-- Store that plans have expired.
-- name: ExpirePlan
UPDATE plans SET state = 'expired' FROM :rows WHERE id = r.plan_id AND state IN ('open', 'approved') AND expires_at <= r.at

-- Store what persons decided about plans, one decision of each person. The plan is locked first, so that of two decisions
-- at once the later one counts the earlier.
-- name: AddDecision
INSERT INTO decisions (target, principal, verdict, hash, reason, at)
SELECT r.target, r.principal, r.verdict, r.hash, r.reason, r.at
FROM :rows JOIN plans AS p ON p.id = r.target AND p.state IN ('open', 'approved') AND p.expires_at > r.at FOR UPDATE OF p
ON CONFLICT DO NOTHING

-- Note that open plans have the approvals that they need.
-- name: ApprovePlan
UPDATE plans SET state = 'approved' FROM :rows WHERE id = r.plan_id AND state = 'open'
AND (SELECT count(*) FROM decisions AS d WHERE d.target = r.plan_id AND d.verdict = 'approve') >= r.needed

-- Note that plans are rejected.
-- name: RejectPlan
UPDATE plans SET state = 'rejected' FROM :rows WHERE id = r.plan_id AND state IN ('open', 'approved') AND expires_at > r.at

-- Let waiting instances use the plans of their rest.
-- name: SpendPlan
UPDATE plans SET state = 'used' FROM :rows WHERE id = r.plan_id AND state IN ('open', 'approved') AND expires_at > r.at

-- Store whether stages with a condition are skipped.
-- name: DecideStage
UPDATE stages SET skipped = r.is_skipped FROM :rows WHERE stages.instance_id = r.instance_id AND stages.number = r.number
AND skipped IS NULL

-- Let stages that have begun wait for approvals.
-- name: OpenGate
UPDATE stages SET gate = r.gate, deadline_at = r.deadline_at FROM :rows WHERE stages.instance_id = r.instance_id AND stages.number = r.number

-- Note that stages have the approvals that they waited for.
-- name: PassGate
UPDATE stages SET gate_passed_at = r.at FROM :rows WHERE stages.instance_id = r.instance_id AND stages.number = r.number
AND stages.gate IS NOT NULL AND gate_passed_at IS NULL AND terminated_at IS NULL

-- Keep running instances to a plan.
-- name: PinInstance
UPDATE instances SET plan_id = r.plan_id FROM :rows WHERE id = r.instance_id

-- Store batches, whose previews are still to be made.
-- name: AddBatch
INSERT INTO batches (id, kind, selection, rate, max_open, stop_after, reason, principal, created_at, items, state, planned, claim, open, streak)
SELECT r.batch_id, r.kind, r.selection, r.rate, r.max_open, r.stop_after, r.reason, r.principal, r.created_at, r.items, 'previewing', 0, '', 0, 0 FROM :rows

-- Store the items of batches.
-- name: AddBatchItems
INSERT INTO batch_items (batch_id, n, instance_id, run, state)
SELECT r.batch_id, (each ->> 'n')::bigint, each ->> 'instance', each ->> 'run', 'pending'
FROM :rows CROSS JOIN LATERAL json_array_elements(r.items::json) AS each

-- Let one preview write from now on.
-- name: ClaimPreview
UPDATE batches SET claim = r.claim, planned = 0 FROM :rows WHERE id = r.batch_id AND state = 'previewing'

-- Store how far a preview has come.
-- name: MovePreview
UPDATE batches SET planned = r.planned FROM :rows WHERE id = r.batch_id AND state = 'previewing' AND batches.claim = r.claim

-- Store what a preview has found.
-- name: PreviewItem
UPDATE batch_items AS t SET state = r.state, hash = r.hash, document = r.document, code = r.code, message = r.message
FROM :rows WHERE t.batch_id = r.batch_id AND t.n = r.number

-- Make batches ready.
-- name: FinishPreview
UPDATE batches SET state = 'ready', hash = r.hash, summary = r.summary FROM :rows
WHERE id = r.batch_id AND state = 'previewing' AND batches.claim = r.claim

-- Store what persons decided about batches, each once. The row's lock makes decisions about one batch wait for each other.
-- name: AddBatchDecision
INSERT INTO decisions (target, principal, verdict, hash, reason, at)
SELECT r.batch_id, r.principal, r.verdict, r.hash, r.reason, r.at
FROM :rows JOIN batches AS b ON b.id = r.batch_id AND b.state IN ('ready', 'approved') AND b.hash = r.hash FOR UPDATE OF b
ON CONFLICT DO NOTHING

-- Note that ready batches have the approvals that they need.
-- name: ApproveBatch
UPDATE batches SET state = 'approved' FROM :rows WHERE id = r.batch_id AND state = 'ready'
AND (SELECT count(*) FROM decisions AS d WHERE d.target = r.batch_id AND d.verdict = 'approve') >= r.needed

-- Cancel batches that a person has rejected.
-- name: RejectBatch
UPDATE batches SET state = 'canceled', why = r.why, ended_at = r.at FROM :rows
WHERE id = r.batch_id AND state IN ('ready', 'approved')

-- Start batches.
-- name: StartBatch
UPDATE batches SET state = 'running', starter = r.principal, started_at = r.at FROM :rows
WHERE id = r.batch_id AND batches.state = r.state AND batches.state IN ('ready', 'approved') AND batches.hash = r.hash

-- Pause running batches.
-- name: PauseBatch
UPDATE batches SET state = 'paused', why = r.why FROM :rows WHERE id = r.batch_id AND state = 'running'

-- Go on with paused batches.
-- name: ResumeBatch
UPDATE batches SET state = 'running', why = NULL, streak = 0 FROM :rows WHERE id = r.batch_id AND state = 'paused'

-- Cancel batches that are not over.
-- name: CancelBatch
UPDATE batches SET state = 'canceled', ended_at = r.at FROM :rows
WHERE id = r.batch_id AND state IN ('previewing', 'ready', 'approved', 'running', 'paused')

-- Skip what has not started.
-- name: DropItems
UPDATE batch_items AS t SET state = 'skipped', code = r.code, message = r.message, ended_at = r.at, document = NULL
FROM :rows WHERE t.batch_id = r.batch_id AND t.state = 'pending'

-- End batches of which nothing is left.
-- name: FinishBatch
UPDATE batches SET state = 'done', ended_at = r.at FROM :rows WHERE id = r.batch_id AND state = 'running' AND open = 0
AND NOT EXISTS (SELECT 1 FROM batch_items AS t WHERE t.batch_id = r.batch_id AND t.state IN ('pending', 'started'))

-- Count items that start, where they may. The row's lock makes a pause, a cancellation and another driver wait.
-- name: CountStart
UPDATE batches SET open = open + 1 FROM :rows WHERE id = r.batch_id AND state = 'running' AND open < max_open

-- Start pending items.
-- name: StartItem
UPDATE batch_items AS t SET state = 'started', made_id = r.made_id, started_at = r.at, document = NULL
FROM :rows WHERE t.batch_id = r.batch_id AND t.n = r.number AND t.state = 'pending'

-- Skip pending items.
-- name: SkipItem
UPDATE batch_items AS t SET state = 'skipped', code = r.code, message = r.message, ended_at = r.at, document = NULL
FROM :rows WHERE t.batch_id = r.batch_id AND t.n = r.number AND t.state = 'pending'

-- Count items that have ended. Too many failures in a row pause their batch.
-- name: CountEnd
UPDATE batches SET open = open - 1, streak = CASE WHEN r.is_failure THEN streak + 1 ELSE 0 END,
    why = CASE WHEN state = 'running' AND r.is_failure AND streak + 1 >= stop_after THEN r.why ELSE batches.why END,
    state = CASE WHEN state = 'running' AND r.is_failure AND streak + 1 >= stop_after THEN 'paused' ELSE state END
FROM :rows WHERE id = r.batch_id AND open > 0

-- End started items.
-- name: EndItem
UPDATE batch_items AS t SET state = r.state, code = r.code, message = r.message, ended_at = r.at
FROM :rows WHERE t.batch_id = r.batch_id AND t.n = r.number AND t.state = 'started'

-- Give a name its first version, unless it has one.
-- name: AddHandle
INSERT INTO handles (name, current, set_name, created_at, updated_at)
SELECT r.name, r.number, r.set_name, r.at, r.at FROM :rows
ON CONFLICT DO NOTHING

-- Store a version of a name.
-- name: AddVersion
INSERT INTO versions (name, n, workflow_id, definition_hash, created_at, principal)
SELECT r.name, r.number, r.workflow_id, r.definition_hash, r.created_at, r.principal FROM :rows
ON CONFLICT DO NOTHING

-- Make another version the current one.
-- name: MoveHandle
UPDATE handles SET current = r.number, updated_at = r.at FROM :rows WHERE handles.name = r.name AND current = r.before

-- Require that a version is the current one. Both this and a move are made in the ordered section of a commit.
-- name: RequireVersion
SELECT 1 FROM :rows JOIN handles AS h ON h.name = r.name AND h.current = r.number

-- Take a name away that no trigger uses: by the name, by the id of a version, or for events that wait for an earlier definition.
-- name: DeleteHandle
DELETE FROM handles USING :rows WHERE handles.name = r.name AND current = r.number AND r.greatest = (SELECT max(v.n) FROM versions AS v WHERE v.name = r.name)
AND NOT EXISTS (SELECT 1 FROM triggers AS t WHERE t.workflow_name = r.name AND t.deleted_at IS NULL)
AND NOT EXISTS (SELECT 1 FROM triggers AS t JOIN versions AS v ON v.workflow_id = t.workflow_id AND v.name = r.name
    WHERE t.workflow_name IS NULL AND t.deleted_at IS NULL)
AND NOT EXISTS (SELECT 1 FROM former_triggers AS f JOIN triggers AS t ON t.id = f.trigger_id AND t.deleted_at IS NULL
    JOIN versions AS v ON v.workflow_id = f.workflow_id AND v.name = r.name
    WHERE EXISTS (SELECT 1 FROM inbox AS e WHERE e.processed_at IS NULL AND e.seq > f.after_seq AND e.seq <= f.until_seq))

-- Keep the definition of a trigger for the events so far, with the version that it starts by now.
-- name: KeepTrigger
INSERT INTO former_triggers (trigger_id, revision, event, event_name, workflow_id, workflow_name, version, filter, vars, after_seq, until_seq, replaced_at)
SELECT t.id, t.revision, t.event, t.event_name, coalesce((SELECT v.workflow_id FROM handles AS h JOIN versions AS v ON v.name = h.name AND v.n = h.current WHERE h.name = t.workflow_name), t.workflow_id),
    t.workflow_name, t.version, t.filter, t.vars, t.after_seq, (SELECT coalesce(max(seq), 0) FROM inbox), r.at
FROM :rows JOIN triggers AS t ON t.id = r.trigger_id AND t.revision = r.revision AND t.deleted_at IS NULL
ON CONFLICT DO NOTHING

-- Give a trigger another definition, which begins where the earlier one ends, unless its workflow is gone.
-- name: ReplaceTrigger
UPDATE triggers AS t SET event = r.event, event_name = r.event_name, workflow_id = r.workflow_id, workflow_name = r.workflow_name, version = r.version,
    filter = r.filter, vars = r.vars, revision = r.revision + 1, after_seq = f.until_seq
FROM :rows JOIN former_triggers AS f ON f.trigger_id = r.trigger_id AND f.revision = r.revision
JOIN workflows AS w ON w.id = r.workflow_id AND w.deleted_at IS NULL
WHERE t.id = r.trigger_id AND t.revision = r.revision AND t.deleted_at IS NULL

-- Require that a trigger is not replaced.
-- name: RequireTrigger
SELECT 1 FROM :rows JOIN triggers AS t ON t.id = r.trigger_id AND t.revision = r.revision AND t.deleted_at IS NULL

-- Require that a set has no more and no fewer objects.
-- name: RequireSet
SELECT 1 FROM :rows WHERE (SELECT count(*) FROM handles AS h WHERE h.set_name = r.set_name) = r.workflows
AND (SELECT count(*) FROM triggers AS t WHERE t.set_name = r.set_name AND t.deleted_at IS NULL) = r.triggers

-- Mark triggers as deleted.
-- name: DeleteTrigger
UPDATE triggers SET deleted_at = r.at FROM :rows WHERE id = r.trigger_id AND deleted_at IS NULL

-- Store an event, or count a repeat; `AcceptEvent` explains the identities.
-- name: AcceptEvent
INSERT INTO inbox (key, type, envelope, received_at, depth, fingerprint, conflicts_with)
SELECT
    CASE
        WHEN placed IS NOT NULL THEN (SELECT key FROM inbox WHERE seq = placed)
        WHEN known IS NULL THEN j.key
        WHEN is_equal THEN (SELECT key FROM inbox WHERE seq = known)
        ELSE j.conflict_key
    END,
    j.type, j.envelope, j.received_at, j.depth, j.payload, CASE WHEN placed IS NULL AND NOT is_equal THEN known END
FROM (
    SELECT p.*, (SELECT i.fingerprint IS NULL OR i.fingerprint = p.payload FROM inbox AS i WHERE i.seq = known) AS is_equal
    FROM (
        SELECT
            r.key, r.type, r.envelope, r.received_at, r.depth, r.conflict_key, decode(r.fingerprint, 'base64') AS payload,
            coalesce(
                (SELECT i.seq FROM inbox AS i WHERE i.key = r.place),
                (SELECT e.seq FROM event_keys AS e WHERE e.key = r.place)
            ) AS placed,
            coalesce(
                (SELECT i.seq FROM inbox AS i WHERE i.key = r.key),
                (SELECT e.seq FROM event_keys AS e WHERE e.key = r.key),
                (
                    SELECT i.seq FROM inbox AS i WHERE i.key = r.old_key AND i.type = r.type
                    AND (i.fingerprint IS NULL OR (i.fingerprint = decode(r.fingerprint, 'base64') AND substr(i.key, 1, 4) = 'key:'))
                )
            ) AS known
        FROM :rows
    ) AS p
) AS j
ON CONFLICT (key) DO UPDATE SET repeats = inbox.repeats + 1, last_repeat_at = excluded.received_at RETURNING seq, repeats, conflicts_with

-- Store further identities of events.
-- name: PlaceEvent
INSERT INTO event_keys (key, seq) SELECT r.key, r.seq FROM :rows ON CONFLICT (key) DO NOTHING

-- Store the fingerprints of events' payloads.
-- name: IdentifyEvent
UPDATE inbox SET fingerprint = decode(r.fingerprint, 'base64') FROM :rows WHERE inbox.seq = r.seq

-- Count a repeat of a known event.
-- name: RepeatEvent
UPDATE inbox SET repeats = repeats + 1, last_repeat_at = r.at FROM :rows WHERE inbox.seq = coalesce(
    (SELECT i.seq FROM inbox AS i WHERE i.key = r.key), (SELECT e.seq FROM event_keys AS e WHERE e.key = r.key), (SELECT i.seq FROM inbox AS i WHERE i.key = r.old_key))

-- Mark events as processed.
-- name: ProcessEvent
UPDATE inbox SET processed_at = r.at, served_s = (SELECT served_s FROM time_served) FROM :rows WHERE inbox.seq = r.seq AND processed_at IS NULL

-- Empty envelopes of events processed before a moment of time served.
-- name: ForgetEnvelopes
UPDATE inbox SET envelope = NULL WHERE seq IN (
    SELECT i.seq FROM inbox AS i, :rows WHERE i.served_s < r.before_s AND i.processed_at IS NOT NULL AND i.envelope IS NOT NULL ORDER BY i.served_s LIMIT 200)
RETURNING seq

-- Store what live triggers did for events, once.
-- name: AddOccurrence
INSERT INTO occurrences (id, trigger_id, event_key, event, created_at, depth, instance_id, error)
SELECT r.occurrence_id, r.trigger_id, r.event_key, r.event, r.created_at, r.depth, r.instance_id, r.error
FROM :rows JOIN triggers AS t ON t.id = r.trigger_id AND t.deleted_at IS NULL
ON CONFLICT (trigger_id, event_key) DO NOTHING

-- Store how far a source was read, if its position is still the expected one.
-- name: MovePosition
INSERT INTO positions (source, position, served_s) SELECT r.source, r.position, (SELECT served_s FROM time_served) FROM :rows
WHERE r.expected IS NULL OR EXISTS (SELECT 1 FROM positions AS p WHERE p.source = r.source AND p.position = r.expected)
ON CONFLICT (source) DO UPDATE SET position = excluded.position, served_s = excluded.served_s
WHERE positions.position = (SELECT r.expected FROM :rows WHERE r.source = excluded.source)

-- Store when a publisher was last in use.
-- name: ConfirmPosition
UPDATE positions SET served_s = (SELECT served_s FROM time_served) FROM :rows WHERE positions.source = r.source

-- Let events of a type go into the outbox.
-- name: WantType
INSERT INTO wanted (type) SELECT r.type FROM :rows ON CONFLICT (type) DO NOTHING

-- Put events into the outbox, but those whose type nothing wants.
-- name: Publish
INSERT INTO outbox (type, happened_at, payload, instance_id, depth, served_s)
SELECT r.type, r.happened_at, r.payload, r.instance_id, r.depth, (SELECT served_s FROM time_served)
FROM :rows WHERE EXISTS (SELECT 1 FROM wanted AS w WHERE w.type = r.type) ORDER BY r.n
RETURNING seq

-- Remove events that every publisher in use has acknowledged, and old ones.
-- name: TrimOutbox
DELETE FROM outbox WHERE seq IN (
    SELECT o.seq FROM (SELECT seq, served_s FROM outbox ORDER BY seq LIMIT 200) AS o, :rows
    WHERE o.seq <= (SELECT min(p.position) FROM positions AS p WHERE p.source LIKE 'to:%' AND p.served_s >= r.before_s) OR o.served_s < r.before_s)
RETURNING seq

-- Store events that a publisher refused.
-- name: AddDeadLetter
INSERT INTO set_aside (publisher, event_id, type, body, reason, at, served_s)
SELECT r.publisher, r.event_id, r.type, r.body, r.reason, r.at, (SELECT served_s FROM time_served) FROM :rows
ON CONFLICT (publisher, event_id) DO NOTHING

-- Remove an event that the publisher has taken after all.
-- name: DropDeadLetter
DELETE FROM set_aside USING :rows WHERE set_aside.publisher = r.publisher AND set_aside.event_id = r.event_id

-- Remove refused events stored before a moment of time served.
-- name: ForgetDeadLetters
DELETE FROM set_aside WHERE (publisher, event_id) IN (
    SELECT s.publisher, s.event_id FROM set_aside AS s, :rows WHERE s.served_s < r.before_s ORDER BY s.served_s LIMIT 200)
RETURNING at

-- Store who made the writes.
-- name: AddAuditEntry
INSERT INTO audit (at, principal, client_id, operation, target) SELECT r.at, r.principal, r.client_id, r.operation, r.target FROM :rows ORDER BY r.n

-- Store the responses to callers' keys; a key that is stored already is passed over.
-- name: RememberKey
INSERT INTO caller_keys (owner, key, fingerprint, status, body, operation, target, created_at, served_s)
SELECT r.owner, r.key, decode(r.fingerprint, 'base64'), r.status, decode(r.body, 'base64'), r.operation, r.target, r.at, (SELECT served_s FROM time_served)
FROM :rows ON CONFLICT (owner, key) DO NOTHING

-- Remove keys stored before a moment of time served.
-- name: ForgetKeys
DELETE FROM caller_keys WHERE (owner, key) IN (
    SELECT k.owner, k.key FROM caller_keys AS k, :rows WHERE k.served_s < r.before_s ORDER BY k.served_s LIMIT 200)
RETURNING served_s

-- Add the seconds that a server has run.
-- name: ServeTime
UPDATE time_served SET served_s = served_s + r.seconds FROM :rows RETURNING served_s

-- Try whether a commit succeeds.
-- name: Probe
UPDATE time_served SET probes = probes + 1 FROM :rows RETURNING probes

-- What a commit needs besides

-- The types that are wanted.
-- name: wanted
SELECT type FROM wanted

-- Note the number of the last event, at the end of a commit that has published.
-- name: move_outbox_end
UPDATE journal_state SET outbox_end = greatest(outbox_end, (SELECT max(seq) FROM outbox))

-- Reads

-- A workflow, also a deleted one.
-- name: workflow
SELECT id, name, config, created_at, updated_at, deleted_at FROM workflows WHERE id = :id

-- Workflows that are not deleted, the newest first.
-- name: workflows_page
SELECT id, name, config, created_at, updated_at, deleted_at FROM workflows
WHERE deleted_at IS NULL AND (created_at, id) < (:created_at, :id) ORDER BY created_at DESC, id DESC LIMIT :limit

-- Instances, and the started stages of each as JSON: one statement reads one moment.
-- name: instance
SELECT id, workflow_id, CASE config WHEN '' THEN (SELECT w.config FROM workflows AS w WHERE w.id = workflow_id) ELSE config END AS config,
    variables, created_at, updated_at, terminated_at, error, by_trigger, kind, root_id, from_stage, plan_id,
    CASE WHEN error IS NOT NULL THEN coalesce(failure, 'unclassified') END AS failure, failure_code,
    (SELECT json_agg(row_to_json(s) ORDER BY s.number) FROM stages AS s WHERE s.instance_id = i.id)::text
FROM instances AS i WHERE id = ANY(:ids)

-- The same, with its version, the last of its nudges, and the activities of its last stage as JSON.
-- name: standing
SELECT id, workflow_id, CASE config WHEN '' THEN (SELECT w.config FROM workflows AS w WHERE w.id = workflow_id) ELSE config END AS config,
    variables, created_at, updated_at, terminated_at, error, by_trigger, kind, root_id, from_stage, plan_id,
    CASE WHEN error IS NOT NULL THEN coalesce(failure, 'unclassified') END AS failure, failure_code,
    (SELECT json_agg(row_to_json(s) ORDER BY s.number) FROM stages AS s WHERE s.instance_id = i.id)::text,
    version, (SELECT coalesce(max(seq), 0) FROM nudges AS n WHERE n.instance_id = i.id),
    (SELECT json_agg(row_to_json(a) ORDER BY a.position) FROM activities AS a WHERE a.instance_id = i.id
        AND a.stage = (SELECT max(number) FROM stages AS s WHERE s.instance_id = i.id))::text,
    (SELECT p.document FROM plans AS p WHERE p.id = i.plan_id),
    (SELECT count(*) FROM decisions AS d WHERE d.target = i.plan_id AND d.verdict = 'approve')
FROM instances AS i WHERE id = ANY(:ids)

-- Some instances without their stages.
-- name: instances_by_id
SELECT id, workflow_id, CASE config WHEN '' THEN (SELECT w.config FROM workflows AS w WHERE w.id = workflow_id) ELSE config END AS config,
    variables, created_at, updated_at, terminated_at, error, by_trigger, kind, root_id, from_stage, plan_id,
    CASE WHEN error IS NOT NULL THEN coalesce(failure, 'unclassified') END AS failure, failure_code FROM instances WHERE id = ANY(:instance_ids)

-- All instances, the newest first.
-- name: instances_page
SELECT id, workflow_id, CASE config WHEN '' THEN (SELECT w.config FROM workflows AS w WHERE w.id = workflow_id) ELSE config END AS config,
    variables, created_at, updated_at, terminated_at, error, by_trigger, kind, root_id, from_stage, plan_id,
    CASE WHEN error IS NOT NULL THEN coalesce(failure, 'unclassified') END AS failure, failure_code FROM instances
WHERE (created_at, id) < (:created_at, :id) ORDER BY created_at DESC, id DESC LIMIT :limit

-- Instances that have not ended, the newest first.
-- name: running_instances_page
SELECT id, workflow_id, CASE config WHEN '' THEN (SELECT w.config FROM workflows AS w WHERE w.id = workflow_id) ELSE config END AS config,
    variables, created_at, updated_at, terminated_at, error, by_trigger, kind, root_id, from_stage, plan_id,
    CASE WHEN error IS NOT NULL THEN coalesce(failure, 'unclassified') END AS failure, failure_code FROM instances
WHERE terminated_at IS NULL AND (created_at, id) < (:created_at, :id) ORDER BY created_at DESC, id DESC LIMIT :limit

-- All instances of a workflow, the newest first.
-- name: instances_of_workflow_page
SELECT id, workflow_id, CASE config WHEN '' THEN (SELECT w.config FROM workflows AS w WHERE w.id = workflow_id) ELSE config END AS config,
    variables, created_at, updated_at, terminated_at, error, by_trigger, kind, root_id, from_stage, plan_id,
    CASE WHEN error IS NOT NULL THEN coalesce(failure, 'unclassified') END AS failure, failure_code FROM instances
WHERE workflow_id = :workflow_id AND (created_at, id) < (:created_at, :id) ORDER BY created_at DESC, id DESC LIMIT :limit

-- Instances of a workflow that have not ended, the newest first.
-- name: running_instances_of_workflow_page
SELECT id, workflow_id, CASE config WHEN '' THEN (SELECT w.config FROM workflows AS w WHERE w.id = workflow_id) ELSE config END AS config,
    variables, created_at, updated_at, terminated_at, error, by_trigger, kind, root_id, from_stage, plan_id,
    CASE WHEN error IS NOT NULL THEN coalesce(failure, 'unclassified') END AS failure, failure_code FROM instances
WHERE workflow_id = :workflow_id AND terminated_at IS NULL AND (created_at, id) < (:created_at, :id) ORDER BY created_at DESC, id DESC LIMIT :limit

-- The started stages of some instances, in order.
-- name: stages_of
SELECT instance_id, number, keyword, input, started_at, terminated_at, error, gate, deadline_at, gate_passed_at, outcome, skipped
FROM stages WHERE instance_id = ANY(:instance_ids) ORDER BY instance_id, number

-- The started stages of an instance, in order.
-- name: stages
SELECT instance_id, number, keyword, input, started_at, terminated_at, error, gate, deadline_at, gate_passed_at, outcome, skipped
FROM stages WHERE instance_id = :instance_id ORDER BY number

-- The activities of a stage, in order.
-- name: activities
SELECT instance_id, stage, position, name, input, started_at, attempt, key, request_method, request_path, request_body,
    output, error, last_failure, next_execution_at, needs_attention, terminated_at, permitted_at
FROM activities WHERE instance_id = :instance_id AND stage = :stage ORDER BY position

-- The reads of stages, each of the instance at the same place, in order.
-- name: reads
SELECT a.instance_id, a.stage, a.position, a.name, a.input, a.started_at, a.attempt, a.key, a.request_method, a.request_path, a.request_body,
    a.output, a.error, a.last_failure, a.next_execution_at, a.needs_attention, a.terminated_at, a.permitted_at
FROM unnest(CAST(:instance_ids AS text[]), CAST(:stages AS integer[])) AS p (instance_id, stage)
JOIN activities AS a ON a.instance_id = p.instance_id AND a.stage = p.stage
WHERE a.key = '' ORDER BY a.stage, a.position

-- Open effects that need attention, of one instance or of all, the newest instance first.
-- name: attention_page
SELECT i.id, i.created_at, i.workflow_id, (SELECT w.name FROM workflows AS w WHERE w.id = i.workflow_id) AS workflow_name, i.terminated_at,
    a.stage, a.position, a.name, a.key, a.started_at, a.attempt, a.request_method, a.request_path, a.request_body, a.last_failure, a.attention,
    coalesce(a.attention_at, a.started_at) AS since_at
FROM activities AS a JOIN instances AS i ON i.id = a.instance_id
WHERE a.needs_attention AND (:instance_id = '' OR i.id = :instance_id) AND (created_at, id) < (:created_at, :id) ORDER BY created_at DESC, id DESC LIMIT :limit

-- Places of open effects that need attention before a place, the nearest first.
-- name: attention_before
SELECT i.created_at, i.id FROM activities AS a JOIN instances AS i ON i.id = a.instance_id
WHERE a.needs_attention AND (:instance_id = '' OR i.id = :instance_id) AND (created_at, id) > (:created_at, :id) ORDER BY created_at, id LIMIT :limit

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
    SELECT s.predecessor, chain.depth + 1 FROM chain JOIN successors AS s ON s.successor = chain.id AND s.kind = 'redrive'
)
SELECT i.id, coalesce(i.from_stage, 0) FROM chain JOIN instances AS i ON i.id = chain.id ORDER BY chain.depth

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
SELECT row, next_at, id FROM instances
WHERE (next_at, row) > (:after_at, :after_row) AND next_at <= :until_at ORDER BY next_at, row LIMIT :limit

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
SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint

-- When the next delay ends.
-- name: next_deadline
SELECT min(next_at) FROM instances WHERE next_at > :after_at

-- Instances that have not ended, and their activities that need attention.
-- name: counts
SELECT
    (SELECT count(*) FROM instances WHERE terminated_at IS NULL),
    (SELECT count(*) FROM activities AS a JOIN instances AS i ON i.id = a.instance_id
        WHERE a.needs_attention AND i.terminated_at IS NULL)

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
WHERE target IN (SELECT CAST(:target AS text) UNION SELECT batch_id FROM batch_items WHERE made_id = CAST(:target AS text)) AND operation IN (
    'runWorkflow', 'v2RunWorkflow', 'runNamedWorkflow', 'runPlan', 'redriveInstance', 'undoInstance',
    'createTrigger', 'v2CreateTrigger', 'putTrigger', 'apply', 'createBatch', 'startBatch', 'resumeBatch')
GROUP BY principal ORDER BY min(at), principal

-- The principals that made the version of a name which a trigger starts by it, and that have moved the name since then.
-- For an instance, the trigger as it was when the event was accepted; without one, as it is now.
-- name: movers
WITH event (seq) AS (
    SELECT coalesce((SELECT e.seq FROM occurrences AS o JOIN inbox AS e ON e.key = o.event_key WHERE o.instance_id = CAST(:instance_id AS text)), 9223372036854775807)),
started (name, principal, at) AS (
    SELECT v.name, v.principal, v.created_at FROM event, versions AS v WHERE v.workflow_id = CAST(:workflow_id AS text) AND v.name IN (
        SELECT t.workflow_name FROM triggers AS t WHERE t.id = CAST(:trigger_id AS text) AND t.after_seq < event.seq
        UNION SELECT f.workflow_name FROM former_triggers AS f WHERE f.trigger_id = CAST(:trigger_id AS text) AND f.after_seq < event.seq AND event.seq <= f.until_seq))
SELECT principal, at FROM started UNION SELECT a.principal, a.at FROM started AS s JOIN audit AS a ON a.target = s.name
WHERE a.operation IN ('putWorkflow', 'apply') AND a.at >= s.at AND a.at <= CAST(:until_at AS bigint)
ORDER BY 2, 1

-- The principals that asked for instances, or moved a name to what a trigger started: for each one of their cases so far.
-- NULL: one that is unknown.
-- name: case_requesters
WITH RECURSIVE cases (id) AS (
    SELECT unnest(CAST(:instance_ids AS text[])) COLLATE "C"
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
WHERE deleted_at IS NULL AND strpos(name_folded, :name) > 0 AND (created_at, id) < (:created_at, :id) ORDER BY created_at DESC, id DESC LIMIT :limit

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
SELECT seq, key, type, NULL AS envelope, received_at, processed_at, repeats, last_repeat_at, depth, conflicts_with FROM inbox
WHERE conflicts_with IS NOT NULL AND seq < :before_seq ORDER BY seq DESC LIMIT :limit

-- Events, the newest first.
-- name: events_page
SELECT seq, key, type, NULL AS envelope, received_at, processed_at, repeats, last_repeat_at, depth, conflicts_with FROM inbox
WHERE seq < :before_seq ORDER BY seq DESC LIMIT :limit

-- Events that came more than once, the newest first.
-- name: repeated_events_page
SELECT seq, key, type, NULL AS envelope, received_at, processed_at, repeats, last_repeat_at, depth, conflicts_with FROM inbox
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
WHERE publisher = :publisher AND event_id = coalesce(CAST(:event_id AS text), event_id) ORDER BY at, length(event_id), event_id LIMIT :limit

-- The terms of a range, each once: every one is found from the one before.
-- name: terms_between
WITH RECURSIVE found (term) AS (
    (SELECT term FROM lookups WHERE term >= :first AND term < :before ORDER BY term LIMIT 1)
    UNION ALL
    SELECT (SELECT term FROM lookups WHERE term > found.term AND term < :before ORDER BY term LIMIT 1) FROM found WHERE found.term IS NOT NULL
)
SELECT term FROM found WHERE term IS NOT NULL LIMIT :limit

-- Places of the instances that have one of the terms (a JSON list), the newest first.
-- name: places_of_terms
SELECT DISTINCT each.created_at, each.instance_id FROM json_array_elements_text(:terms::json) AS given (term) CROSS JOIN LATERAL (
    SELECT created_at, instance_id FROM lookups
    WHERE term = given.term AND (created_at, instance_id) < (:created_at, :id) ORDER BY created_at DESC, instance_id DESC LIMIT :limit
) AS each ORDER BY each.created_at DESC, each.instance_id DESC LIMIT :limit

-- Places of the next instances that have an id with this end.
-- name: places_of_end
SELECT created_at, id FROM (
    SELECT created_at, id FROM instances WHERE (created_at, id) < (:created_at, :id) ORDER BY created_at DESC, id DESC LIMIT :limit
) AS next WHERE right(id, 12) = :end ORDER BY created_at DESC, id DESC

-- The place so many instances further on.
-- name: place_beyond
SELECT created_at, id FROM instances WHERE (created_at, id) < (:created_at, :id) ORDER BY created_at DESC, id DESC LIMIT 1 OFFSET :offset

-- Places of instances with terms of a range, by term.
-- name: places_between_terms
SELECT created_at, instance_id FROM lookups WHERE term >= :first AND term < :before ORDER BY term, created_at LIMIT :limit

-- The number of the last event that was ever in the outbox.
-- name: outbox_end
SELECT outbox_end FROM journal_state

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
WHERE deleted_at IS NULL AND strpos(name_folded, :name) > 0 AND (created_at, id) > (:created_at, :id) ORDER BY created_at, id LIMIT :limit

-- Places of a trigger's occurrences before a place, the nearest first.
-- name: occurrences_before
SELECT created_at, id FROM occurrences
WHERE trigger_id = :trigger_id AND (created_at, id) > (:created_at, :id) ORDER BY created_at, id LIMIT :limit
