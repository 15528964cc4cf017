"""Bugs of batches."""

from __future__ import annotations

from tests.planted.bugs import SQL, Bug, Change

PREVIEW = "src/headrace/usecases/batch_preview.py"
ITEMS = "src/headrace/usecases/batch_items.py"
SHADOW = "src/headrace/planning/shadow.py"
_STORED = "tests/contract/test_journal.py"
_PREVIEWED = "tests/contract/test_batch_previews.py"
_DRIVEN = "tests/contract/test_batches.py"
_SHARED = "tests/planning/test_shared_shadow.py"


def _bug(name: str, file: str, find: str, put: str, *suites: str) -> Bug:
    return Bug(name, (Change(file, find, put),), suites)


BATCHING: tuple[Bug, ...] = (
    _bug(
        "a shadow for each item of a batch",
        PREVIEW,
        "plan(subject, terms_for(ports, subject), self._shadow)",
        "plan(subject, terms_for(ports, subject), Shadow())",
        _PREVIEWED,
    ),
    _bug(
        "an excluded item leaves its effects in the shadow",
        SHADOW,
        "        while self._planned:\n            self._planned.pop()()\n",
        "        self._planned.clear()\n",
        _SHARED,
    ),
    _bug(
        "a preview that another one has replaced goes on writing",
        SQL,
        "UPDATE batches SET planned = :planned WHERE id = :batch_id AND state = 'previewing' AND claim = :claim",
        "UPDATE batches SET planned = :planned WHERE id = :batch_id AND state = 'previewing' AND :claim <> ''",
        _STORED,
    ),
    _bug(
        "a batch starts by the hash of another preview",
        SQL,
        "WHERE id = :batch_id AND state = :state AND state IN ('ready', 'approved') AND hash = :hash",
        "WHERE id = :batch_id AND state = :state AND state IN ('ready', 'approved') AND :hash <> ''",
        _STORED,
    ),
    _bug(
        "a batch that is paused starts items",
        SQL,
        "UPDATE batches SET open = open + 1 WHERE id = :batch_id AND state = 'running' AND open < max_open",
        "UPDATE batches SET open = open + 1 WHERE id = :batch_id AND open < max_open",
        _STORED,
    ),
    _bug(
        "more items are open than may be",
        SQL,
        "WHERE id = :batch_id AND state = 'running' AND open < max_open",
        "WHERE id = :batch_id AND state = 'running'",
        _STORED,
    ),
    _bug(
        "an item of a batch starts twice",
        SQL,
        "made_id = :made_id, started_at = :at, document = NULL\n"
        "WHERE batch_id = :batch_id AND n = :number AND state = 'pending'",
        "made_id = :made_id, started_at = :at, document = NULL\nWHERE batch_id = :batch_id AND n = :number",
        _STORED,
    ),
    _bug(
        "failures in a row do not pause a batch",
        SQL,
        "state = CASE WHEN state = 'running' AND :is_failure AND streak + 1 >= stop_after THEN 'paused' ELSE state END",
        "state = CASE WHEN state = 'running' AND :is_failure AND streak < 0 THEN 'paused' ELSE state END",
        _STORED,
    ),
    _bug(
        "an item is over while an effect of its instance is open",
        SQL,
        "WHERE a.instance_id = i.id AND a.terminated_at IS NULL)\nORDER BY i.terminated_at",
        "WHERE a.instance_id = i.id AND a.terminated_at < 0)\nORDER BY i.terminated_at",
        _STORED,
    ),
    _bug(
        "a redriven item may leave the plan of its preview",
        ITEMS,
        "        approvals=len(approvals),\n        ahead=partial(_ahead, batch, item, plan, approvals),",
        "        approvals=-1,\n        ahead=partial(_ahead, batch, item, None, approvals),",
        _DRIVEN,
    ),
    _bug(
        "an instance that has gone on since the preview is aborted",
        ITEMS,
        "if abort_hash(item.instance_id, runner.stage.number) != item.hash:",
        "if not item.hash:",
        _DRIVEN,
    ),
    _bug(
        "an item starts in another unit than its instance",
        ITEMS,
        "    return [*guards, stored_plan(plan), *given]",
        "    return [stored_plan(plan), *given]",
        _DRIVEN,
    ),
)
