"""Bugs of names with versions and of apply."""

from __future__ import annotations

from tests.planted.bugs import SQL, Bug, Change

NAMES = "src/headrace/usecases/names.py"
APPLYING = "src/headrace/usecases/applying.py"
DISPATCHER = "src/headrace/triggers/dispatcher.py"
COMMAND = "src/headrace/cli/apply.py"
FILES = "src/headrace/cli/apply_files.py"
_STORED = "tests/contract/test_journal.py"
_APPLIED = "tests/contract/test_apply.py"
_STARTED = "tests/contract/test_names.py"
_APPROVED = "tests/contract/test_names_four_eyes.py"
_COMMAND = "tests/cli/test_apply.py"


def _bug(name: str, file: str, find: str, put: str, *suites: str) -> Bug:
    return Bug(name, (Change(file, find, put),), suites)


NAMING: tuple[Bug, ...] = (
    _bug(
        "a name moves without a guard",
        SQL,
        "UPDATE handles SET current = :number, updated_at = :at WHERE name = :name AND current = :before",
        "UPDATE handles SET current = :number, updated_at = :at WHERE name = :name AND :before > 0",
        _STORED,
    ),
    _bug(
        "equal content makes a new version",
        NAMES,
        "if each.definition_hash == found and each.deleted_at is None]",
        "if each.definition_hash == found and each.number < 0]",
        _APPLIED,
    ),
    _bug(
        "an apply prunes what others have made",
        APPLYING,
        "            if handle.set_name != request.set_name or handle.name in request.workflows:",
        "            if handle.name in request.workflows:",
        _APPLIED,
    ),
    _bug(
        "an apply prunes triggers of others",
        APPLYING,
        "if trigger.set_name == request.set_name and trigger.handle not in request.triggers:",
        "if trigger.handle not in request.triggers:",
        _APPLIED,
    ),
    _bug(
        "a trigger by name starts the version of when it was made",
        DISPATCHER,
        "        workflow = await self._journal.workflow(match.trigger.workflow_id)\n",
        "        versions = await self._journal.versions(match.trigger.workflow_name or '')\n"
        "        made_at = match.trigger.created_at\n"
        "        made = next((each.workflow_id for each in versions if each.created_at <= made_at), None)\n"
        "        workflow = await self._journal.workflow(made or match.trigger.workflow_id)\n",
        _STARTED,
    ),
    _bug(
        "a start by name does not require its version",
        DISPATCHER,
        "            unit[:0] = _guards(match.trigger)\n",
        "",
        _STARTED,
    ),
    _bug(
        "a run by name does not require its version",
        NAMES,
        "            start.unit.insert(0, guard)\n",
        "            assert guard\n",
        _STARTED,
    ),
    _bug(
        "a trigger that is replaced forgets the events of before",
        SQL,
        "WHERE f.event_name IN (:name, :other_name) AND f.after_seq < :seq AND f.until_seq >= :seq",
        "WHERE f.event_name IN (:name, :other_name) AND f.after_seq < :seq AND f.until_seq < 0 AND :seq > 0",
        _STORED,
    ),
    _bug(
        "a trigger that is replaced fires for the events of before, too",
        SQL,
        "after_seq = (SELECT until_seq FROM former_triggers WHERE trigger_id = :trigger_id AND revision = :revision)",
        "after_seq = after_seq",
        _STORED,
    ),
    _bug(
        "a name is taken away although a trigger starts it",
        SQL,
        "AND NOT EXISTS (SELECT 1 FROM triggers WHERE workflow_name = :name AND deleted_at IS NULL)",
        "AND NOT EXISTS (SELECT 1 FROM triggers WHERE workflow_name = :name AND deleted_at < 0)",
        _STORED,
    ),
    _bug(
        "an apply passes over a document that has changed meanwhile",
        NAMES,
        "        unit.add(Required(RequireVersion(name=change.name, number=before.current), moved))\n",
        "        assert moved\n",
        _APPLIED,
    ),
    _bug(
        "apply lints after the first write",
        COMMAND,
        "    _require_good(session, found, findings, strict=strict)\n    workflows, triggers = found.by_name()\n",
        "    if not any(each.findings for each in found.all):\n"
        "        session.ext.apply(documents={'set': set_name, 'workflows': found.by_name()[0]})\n"
        "    _require_good(session, found, findings, strict=strict)\n    workflows, triggers = found.by_name()\n",
        _COMMAND,
    ),
    _bug(
        "a former definition forgets the version of its time",
        SQL,
        "SELECT id, revision, event, event_name, coalesce((SELECT v.workflow_id FROM handles AS h JOIN versions AS v "
        "ON v.name = h.name AND v.n = h.current WHERE h.name = workflow_name), workflow_id),",
        "SELECT id, revision, event, event_name, workflow_id,",
        _STORED,
    ),
    _bug(
        "a former definition is kept after its name has moved",
        APPLYING,
        "    unit.insert(0, Required(KeepTrigger(trigger_id=before.id, revision=before.revision, at=at), gone))\n",
        "    unit.add(Required(KeepTrigger(trigger_id=before.id, revision=before.revision, at=at), gone))\n",
        _STARTED,
    ),
    _bug(
        "a start that is made anew has the new version and the earlier definition",
        DISPATCHER,
        "                match = replace(match, trigger=same[0])\n",
        "                new = await self._journal.trigger(match.trigger.id)\n"
        "                assert new is not None\n"
        "                match = replace(match, trigger=msgspec.structs.replace(new, vars=match.trigger.vars))\n",
        _STARTED,
    ),
    _bug(
        "a prune does not see what is added to its set meanwhile",
        APPLYING,
        "        _require_no_others(unit, request.set_name, [*names, *changes], found)\n",
        "        assert names is not changes\n",
        _APPLIED,
    ),
    _bug(
        "a set is counted with triggers of another one",
        SQL,
        "(SELECT count(*) FROM triggers WHERE set_name = :set_name AND deleted_at IS NULL) = :triggers",
        "(SELECT count(*) FROM triggers WHERE set_name IS NOT NULL AND deleted_at IS NULL) = :triggers",
        _STORED,
    ),
    _bug(
        "a name is taken away although a trigger starts one of its versions by its id",
        SQL,
        "    WHERE t.workflow_name IS NULL AND t.deleted_at IS NULL)\nAND NOT EXISTS (SELECT 1 FROM former_triggers",
        "    WHERE t.workflow_name IS NULL AND t.deleted_at < 0)\nAND NOT EXISTS (SELECT 1 FROM former_triggers",
        _STORED,
    ),
    _bug(
        "a name is taken away although events wait for one of its versions",
        SQL,
        "EXISTS (SELECT 1 FROM inbox WHERE processed_at IS NULL AND seq > f.after_seq AND seq <= f.until_seq))",
        "EXISTS (SELECT 1 FROM inbox WHERE processed_at < 0 AND seq > f.after_seq AND seq <= f.until_seq))",
        _STORED,
    ),
    _bug(
        "a version that is put meanwhile outlives its name",
        SQL,
        " AND :greatest = (SELECT max(n) FROM versions WHERE name = :name)",
        " AND :greatest > 0",
        _STORED,
    ),
    _bug(
        "a prune does not look for events that wait for what it replaces",
        APPLYING,
        "        if use.is_former or (is_replaced and use.waits):\n",
        "        if use.is_former:\n",
        _APPLIED,
    ),
    _bug(
        "a name without a version starts what its trigger was made with",
        DISPATCHER,
        "        if match.trigger.workflow_name is not None and match.trigger.current is None:\n",
        "        if match.trigger.workflow_name == '' and match.trigger.current is None:\n",
        _STARTED,
    ),
    _bug(
        "an apply takes a folder that cannot be read for an empty one",
        FILES,
        "os.walk(place, onerror=_fail)",
        "os.walk(place, onerror=_fail and None)",
        _COMMAND,
    ),
    _bug(
        "a prune passes over a linked folder",
        FILES,
        "        if prunes:\n",
        "        if not prunes:\n",
        _COMMAND,
    ),
    _bug(
        "who moves a name approves what a trigger starts by it",
        SQL,
        "WHERE a.operation IN ('putWorkflow', 'apply') AND a.at >= m.at AND a.at <= m.until_at",
        "WHERE a.operation IN ('putWorkflow', 'apply') AND a.at >= m.at AND a.at < 0",
        _STORED,
        _APPROVED,
    ),
    _bug(
        "who moved a name has asked for what a trigger started before it had the name",
        SQL,
        "WHERE t.id = :trigger_id AND t.after_seq < event.seq",
        "WHERE t.id = :trigger_id",
        _STORED,
    ),
    _bug(
        "who applies a set has moved a workflow that is called as the set is",
        "src/headrace/usecases/applying.py",
        'Answer(f"set:{request.set_name}", Applied(',
        "Answer(request.set_name, Applied(",
        _APPROVED,
    ),
    _bug(
        "a certificate without those who moved the name",
        "src/headrace/usecases/certificates.py",
        "        asked += await journal.movers(trigger_id, instance.workflow_id, instance.created_at, instance_id)\n",
        "        assert trigger_id\n",
        _APPROVED,
    ),
    _bug(
        "a plan of a trigger is approved by who has moved its name",
        "src/headrace/usecases/approvals.py",
        "        found |= {each.principal for each in moved}\n",
        "        assert moved is not None\n",
        _APPROVED,
    ),
    _bug(
        "who puts what is there already has asked for its runs",
        APPLYING,
        "    record(unit, caller, at, answer, name if change.action == UNCHANGED else None)\n",
        "    record(unit, caller, at, answer)\n",
        _APPROVED,
    ),
    _bug(
        "who prunes a trigger has asked for its runs",
        APPLYING,
        "    if change.action == PRUNED:\n        operation =",
        "    if change.action == '':\n        operation =",
        _APPROVED,
    ),
    _bug(
        "a trigger is put for a name whose workflow is deleted",
        APPLYING,
        '            raise InvalidValue(f"{path}workflow", reason)\n',
        "            assert reason\n",
        _APPLIED,
    ),
    _bug(
        "a trigger is replaced by one of a workflow that is deleted",
        SQL,
        "AND EXISTS (SELECT 1 FROM workflows AS w WHERE w.id = :workflow_id AND w.deleted_at IS NULL)",
        "AND :workflow_id > ''",
        _STORED,
    ),
    _bug(
        "an apply without a document prunes everything",
        APPLYING,
        '    if flags["prune"] and not workflows and not triggers:\n',
        '    if flags["prune"] and workflows is triggers:\n',
        _APPLIED,
    ),
    _bug(
        "a run by name gives up where its version was deleted while the name has moved",
        NAMES,
        "            gone = handle  # or the name has moved since it was read\n            continue\n",
        "            raise NotFound('workflow', workflow_id)\n",
        _STARTED,
    ),
    _bug(
        "an apply lists the problems of a thousand documents",
        APPLYING,
        "    if len(problems) > MAX_PROBLEMS:\n",
        "    if len(problems) > 1_000 * MAX_PROBLEMS:\n",
        _APPLIED,
    ),
)
