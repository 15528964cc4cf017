"""`/ext/certificates`: a case is certified from the books, stored and read; what the books contradict is refused."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from headrace.certificates.envelope import TYPE, verify
from headrace.effects.port import NoResponse, Request, Response
from headrace.errors import InvalidValue
from headrace.usecases import certificates as use_cases
from tests.api.conftest import Live

PAY: dict[str, Any] = {
    "name": "pay",
    "stages": [
        {
            "send": {
                "source": {"account": {"id": "users:jane", "ledger": "main"}},
                "destination": {"account": {"id": "shops", "ledger": "${ledger}"}},
                "amount": {"amount": "400", "asset": "USD/2"},
            }
        }
    ],
}


async def funded(live: Live, amount: int = 1_000) -> None:
    """Two ledgers; users:jane holds an amount on the first."""
    for ledger in ("main", "shop"):
        await live.http.post(f"/api/ledger/v2/{ledger}", json={})
    await book(live, "main", "world", "users:jane", amount)


async def book(live: Live, ledger: str, source: str, destination: str, amount: int, **more: Any) -> None:
    posting = {"source": source, "destination": destination, "amount": amount, "asset": "USD/2"}
    body = {"postings": [posting], "metadata": {}, **more}
    response = await live.http.post(f"/api/ledger/v2/{ledger}/transactions", json=body)
    assert response.status_code == 200, response.text


async def ran(live: Live, ledger: str = "shop", workflow: dict[str, Any] = PAY) -> str:
    """The id of an instance that has ended."""
    workflow_id = await live.created(workflow)
    path = f"/workflows/{workflow_id}/instances?wait=true"
    response = await live.call("POST", path, {"ledger": ledger})
    return response.json()["data"]["id"]


async def certified(live: Live, instance_id: str, **options: Any) -> dict[str, Any]:
    response = await live.call("POST", "/ext/certificates", {"instance": instance_id}, **options)
    assert response.status_code == 201, response.text
    return response.json()["data"]


async def refused(live: Live, instance_id: str) -> str:
    response = await live.call("POST", "/ext/certificates", {"instance": instance_id})
    assert response.status_code == 409, response.text
    return response.json()["details"]["reason"]


async def test_a_case_is_certified_and_its_file_verifies_with_the_published_keys(live: Live) -> None:
    await funded(live)
    instance_id = await ran(live)
    made = await certified(live, instance_id)
    assert made["subject"] == {"instance": instance_id}
    payload = made["payload"]
    assert payload["case"] == instance_id and payload["instances"][0]["outcome"] == "succeeded"
    assert payload["assets"]["USD/2"]["bridge"] == {"in": 400, "out": 400}
    assert [effect["books"]["ledger"] for effect in payload["effects"]] == ["main", "shop"]

    keys = (await live.call("GET", "/ext/certificate-keys")).json()
    assert all("d" not in key for key in keys["keys"])
    assert made["kid"] in [key["kid"] for key in keys["keys"]]
    assert verify(made["certificate"].encode(), keys) == payload
    read = await live.call("GET", f"/ext/certificates/{made['id']}")
    assert (read.status_code, read.json()["data"]) == (200, made)
    again = await certified(live, instance_id)
    assert again["id"] != made["id"] and again["payload"]["effects"] == payload["effects"]


async def test_a_repeated_request_with_its_key_makes_one_certificate(live: Live) -> None:
    await funded(live)
    instance_id = await ran(live)
    first, second = [await certified(live, instance_id, headers={"Idempotency-Key": "k"}) for _ in range(2)]
    assert first == second
    audit = (await live.call("GET", "/ext/audit")).json()["data"]
    written = [entry["target"] for entry in audit if entry["operation"] == "createCertificate"]
    assert written == [first["id"]]


async def test_an_instance_that_has_not_ended_is_refused(live: Live) -> None:
    workflow_id = await live.created({"stages": [{"wait_event": {"event": "e"}}]})
    response = await live.call("POST", f"/workflows/{workflow_id}/instances", {})
    assert await refused(live, response.json()["data"]["id"]) == "open"


async def ended(live: Live, instance_id: str) -> str:
    """Wait for the end of an instance; gives its id."""
    async with asyncio.timeout(20):
        while not (await live.call("GET", f"/instances/{instance_id}")).json()["data"]["terminated"]:
            await asyncio.sleep(0.01)
    return instance_id


async def continued(live: Live, instance_id: str) -> str:
    response = await live.call("POST", f"/ext/instances/{instance_id}/redrive", {"reason": "the ledger is there now"})
    assert response.status_code == 201, response.text
    return await ended(live, response.json()["data"]["id"])


async def test_a_case_that_was_continued_is_certified_whole(live: Live) -> None:
    await funded(live)
    first = await ran(live, "later")
    await live.http.post("/api/ledger/v2/later", json={})
    second = await continued(live, first)
    for instance_id in (first, second):
        payload = (await certified(live, instance_id))["payload"]
        found = [(each["id"], each["kind"], each["outcome"]) for each in payload["instances"]]
        assert found == [(first, "run", "failed"), (second, "continuation", "succeeded")]
        assert payload["case"] == first
        assert [effect["instance"] for effect in payload["effects"]] == [first, second]
        assert payload["assets"]["USD/2"]["bridge"] == {"in": 400, "out": 400}


async def test_a_case_that_was_undone_is_certified_with_its_undo(live: Live) -> None:
    await funded(live)
    first = await ran(live)
    response = await live.call("POST", f"/ext/instances/{first}/undo", {"reason": "paid to the wrong shop"})
    assert response.status_code == 201, response.text
    undo_id = await ended(live, response.json()["data"]["id"])
    for instance_id in (first, undo_id):
        payload = (await certified(live, instance_id))["payload"]
        assert [(each["id"], each["kind"]) for each in payload["instances"]] == [(first, "run"), (undo_id, "undo")]
        assert (payload["case"], payload["undo"]) == (first, {"instance": undo_id, "state": "undone"})


async def test_a_failed_run_with_stranded_money_declares_it(live: Live) -> None:
    await funded(live)
    instance_id = await ran(live, "nowhere")
    payload = (await certified(live, instance_id))["payload"]
    assert payload["instances"][0]["outcome"] == "failed"
    (stranded,) = [each for each in payload["exceptions"] if each["kind"] == "stranded"]
    assert (stranded["ledger"], stranded["account"], stranded["amount"]) == ("main", "world", 400)
    assert payload["assets"]["USD/2"]["stranded"] == 400


async def test_a_revert_by_hand_is_seen(live: Live) -> None:
    await funded(live)
    instance_id = await ran(live)
    transactions = (await live.http.get("/api/ledger/v2/shop/transactions")).json()["cursor"]["data"]
    number = transactions[0]["id"]
    await live.http.post(f"/api/ledger/v2/shop/transactions/{number}/revert?force=true")
    assert await refused(live, instance_id) == "reverted_elsewhere"


async def test_a_booking_under_the_next_key_is_seen(live: Live) -> None:
    await funded(live)
    instance_id = await ran(live)
    await book(live, "shop", "world", "thief", 1, reference=f"headrace:{instance_id}:0:2")
    assert await refused(live, instance_id) == "extra_in_books"


async def test_a_late_booking_of_a_refused_effect_is_seen(live: Live) -> None:
    await funded(live, 100)
    instance_id = await ran(live)
    assert (await certified(live, instance_id))["payload"]["effects"][0]["books"] == {"standing": "absent"}
    await book(live, "main", "world", "shops", 400, reference=f"headrace:{instance_id}:0:0")
    assert await refused(live, instance_id) == "extra_in_books"


async def test_a_service_that_does_not_answer_is_503_and_stores_nothing(
    live: Live, monkeypatch: pytest.MonkeyPatch
) -> None:
    await funded(live)
    instance_id = await ran(live)

    async def silent(_request: Request) -> Response:
        raise NoResponse("no connection")

    monkeypatch.setattr(live.ports.downstream, "send", silent)
    monkeypatch.setattr(use_cases, "PAUSE_S", 0.0)
    response = await live.call("POST", "/ext/certificates", {"instance": instance_id})
    assert (response.status_code, response.json()["details"]) == (503, {"reason": "silent"})
    assert response.json()["errorMessage"].startswith("a certificate needs an answer that no service gave")
    assert await live.journal.certificate_keys() == []


async def test_look_ups_that_take_too_long_are_given_up(live: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    await funded(live)
    instance_id = await ran(live)

    async def slow(_request: Request) -> Response:
        await asyncio.sleep(60)
        raise AssertionError("the certificate was not given up")

    monkeypatch.setattr(live.ports.downstream, "send", slow)
    monkeypatch.setattr(use_cases, "MAX_S", 0.05)
    response = await live.call("POST", "/ext/certificates", {"instance": instance_id})
    assert (response.status_code, response.json()["details"]) == (503, {"reason": "silent"})


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (None, "body"),
        ([], "body"),
        ({}, "instance"),
        ({"instance": ""}, "instance"),
        ({"instance": 7}, "instance"),
        ({"instance": "x", "from": "y"}, "from"),
    ],
)
async def test_a_bad_request_names_the_member(live: Live, body: Any, field: str) -> None:
    response = await live.call("POST", "/ext/certificates", body)
    assert response.status_code == 400 and response.json()["errorMessage"].startswith(f"{field}:")


async def test_what_does_not_exist_is_404(live: Live) -> None:
    assert (await live.call("POST", "/ext/certificates", {"instance": "nothing"})).status_code == 404
    assert (await live.call("GET", "/ext/certificates/nothing")).status_code == 404


async def test_a_certificate_is_no_token_and_a_token_is_no_certificate(live: Live) -> None:
    await funded(live)
    made = await certified(live, await ran(live))
    keys = (await live.call("GET", "/ext/certificate-keys")).json()
    header, payload, signature = made["certificate"].split(".")
    assert TYPE not in header  # it is encoded
    for text in (f"{payload}.{header}.{signature}", f"{header}.{payload}", json.dumps(made)):
        with pytest.raises(InvalidValue, match="certificate"):
            verify(text.encode(), keys)
