"""The one response of V2 that is made of the same rows in another way."""

from __future__ import annotations

import json

from headrace.api.v1 import views as v1
from headrace.api.v2 import views
from headrace.journal.records import ActivityRow
from tests.conformance.wire import check
from tests.unit.api.test_views import AT, INPUT, JSON, OUTPUT


def row(output: str | None, name: str = "CreateTransaction") -> ActivityRow:
    return ActivityRow("i", 0, 0, name, INPUT, AT, output=output, terminated_at=AT + 1)


def test_a_transaction_stands_in_a_list_with_its_txid() -> None:
    (entry,) = check("v2GetInstanceStageHistory", 200, JSON, views.activity_history_response([row(OUTPUT)]))["data"]
    (transaction,) = entry["output"]["CreateTransaction"]["data"]
    stored = json.loads(OUTPUT)["data"]
    assert transaction == {
        "txid": stored["id"],
        **{key: stored[key] for key in stored if key not in ("id", "reverted")},
    }
    assert transaction["postings"][0]["amount"] == 10**30


def test_a_huge_id_and_no_reference() -> None:
    output = OUTPUT.replace('"id":1', f'"id":{2**200}').replace('"reference":"k",', "")
    body = views.activity_history_response([row(output)])
    (transaction,) = json.loads(body)["data"][0]["output"]["CreateTransaction"]["data"]
    assert transaction["txid"] == 2**200
    assert "reference" not in transaction


def test_all_else_is_as_in_v1() -> None:
    rows = [row(None), row('{"data":{"address":"a","metadata":{}}}', "GetAccount")]
    assert views.activity_history_response(rows) == v1.activity_history_response(rows)
