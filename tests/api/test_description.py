"""Requests made up from the description are answered as it says. At full size by hand:

python -m tests.api.description --cases 20000 --seed 1
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from headrace.api.app import TABLE
from headrace.api.openapi import describe
from tests.api.description import RECORD, Maker, run, shares
from tests.conftest import IS_CI

CASES = 5_000 if IS_CI else 1_000
SEED = 1
NEVER_ACCEPTED = {"resolveEffect", "runPlan", "redriveInstance", "undoInstance", "previewUndo"} | {
    *(
        "startBatch",
        "approveBatch",
        "rejectBatch",
        "pauseBatch",
        "resumeBatch",
        "cancelBatch",
        "createBatch",
        "createPlan",
        "createCertificate",
        "approvePlan",
        "rejectPlan",
        "replayDeadLetters",
    )
}
"""The servers that are asked have no effect that needs attention, and no instance that has done anything and ended:
`test_resolve.py`, `test_redrive.py` and `test_undo_instance.py` make some. Nobody makes up the hash of a plan or
of a batch; `test_plan_runs.py` runs some, `test_batches.py` starts some. A batch is canceled once. The servers have no
publisher; `test_dead_letters.py` has one.
"""
Json = dict[str, Any]


@pytest.mark.timeout(900)
def test_made_up_requests_are_answered_as_described(tmp_path: Path) -> None:
    count = run(CASES, SEED, tmp_path)
    assert count.is_clean, "\n\n".join(f"{what}\n{shown}" for what, shown in count.findings.items())
    assert (count.server_errors, count.undocumented) == (0, 0)
    assert count.asked == CASES
    assert count.versions["v1"] == count.versions["v2"] == CASES * 0.4
    assert set(count.operations) == {row.operation_id for row in TABLE}
    fewest, accepted = (15, 3) if IS_CI else (3, 0)
    assert {name for name, statuses in count.operations.items() if statuses.total() < fewest} == set()
    assert {name for name in count.operations if count.accepted(name) < accepted} <= NEVER_ACCEPTED


def test_every_operation_has_its_share() -> None:
    operations = Maker(describe(TABLE), "", SEED).operations
    found = shares(operations, 20_000)
    assert sum(found.values()) == 20_000
    assert min(found.values()) > 70


def without_404(document: Json) -> None:
    del document["paths"]["/workflows/{flowId}"]["get"]["responses"]["404"]


def other_fields(document: Json) -> None:
    document["components"]["schemas"]["Workflow"]["required"].append("owner")


def other_type(document: Json) -> None:
    document["paths"]["/livez"]["get"]["responses"]["200"]["content"] = {"text/plain": {}}


def stricter_body(document: Json) -> None:
    document["components"]["schemas"]["WorkflowConfig"]["required"].append("owner")


PATHS = {row.operation_id: row.path for row in TABLE}
LIES: dict[str, Callable[[Json], None]] = {
    "getWorkflow: undocumented status 404": without_404,
    "listWorkflows: JsonSchemaError": other_fields,
    "getLiveness: UndefinedContentType": other_type,
    "createWorkflow: AcceptedNegativeData": stricter_body,
}


def test_lies_are_found(tmp_path: Path) -> None:
    """Planted in the description, all at once: a search that misses them proves nothing."""

    def lie(document: Json) -> None:
        paths = {name.partition(":")[0]: PATHS[name.partition(":")[0]] for name in LIES}
        document["paths"] = {path: document["paths"][path] for path in paths.values()}
        for change in LIES.values():
            change(document)

    count = run(120, SEED, tmp_path, lie)
    assert not count.is_clean
    assert count.undocumented > 0
    found = "\n".join(count.findings)
    assert {name for name in LIES if name not in found} == set(), found


def test_what_checks_tokens_may_be_unavailable() -> None:
    """The keys of another issuer may be out of reach, whatever is asked for."""
    scoped = [row for row in TABLE if row.scope]
    described = describe(TABLE)["paths"]
    for row in scoped:
        assert {"401", "403", "503"} <= set(described[row.path][row.method.lower()]["responses"]), row.operation_id


def test_stages_are_described() -> None:
    schemas = describe(TABLE)["components"]["schemas"]
    assert schemas["WorkflowConfig"]["properties"]["stages"]["items"] == {"$ref": "#/components/schemas/Stage"}


@pytest.mark.parametrize("name", ["WorkflowConfig", "TriggerData"])
def test_unknown_members_are_refused_by_the_description_too(name: str) -> None:
    assert describe(TABLE)["components"]["schemas"][name]["additionalProperties"] is False


def test_the_full_run_that_is_kept() -> None:
    latest = json.loads(RECORD.read_text().splitlines()[-1])
    assert latest["cases"] >= 20_000
    assert (latest["result"], latest["server_errors"], latest["undocumented"]) == ("clean", 0, 0)
