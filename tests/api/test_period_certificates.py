"""`/ext/certificates` with a period: made, stored and read; `full` lists the ledgers."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from headrace.certificates.envelope import verify
from headrace.certificates.statement import checked_text
from headrace.journal.records import ActivityRow
from headrace.usecases import period_cases
from headrace.usecases import period_certificates as use_case
from headrace.usecases.period_listing import reference_of
from tests.api.conftest import Live
from tests.api.test_certificates import book, funded, ran

Json = dict[str, Any]
LONG_AGO = "2020-01-01T00:00:00Z"


@pytest.fixture(autouse=True)
def _no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(use_case, "SETTLE_US", 0)


def now(live: Live) -> str:
    return checked_text(live.ports.clock.now_at())


async def made(live: Live, **members: Any) -> Any:
    return await live.call("POST", "/ext/certificates", {"from": LONG_AGO, "to": now(live), **members})


async def certified(live: Live, **members: Any) -> Json:
    response = await made(live, **members)
    assert response.status_code == 201, response.text
    return response.json()["data"]


async def test_a_period_is_certified_and_its_file_verifies_with_the_published_keys(live: Live) -> None:
    await funded(live)
    instance_id = await ran(live)
    found = await certified(live)
    payload = found["payload"]
    assert [line["case"] for line in payload["lines"]] == [instance_id]
    assert found["subject"] == {"from": payload["from"], "to": payload["to"]}
    keys = (await live.call("GET", "/ext/certificate-keys")).json()
    assert verify(found["certificate"].encode(), keys) == payload
    read = await live.call("GET", f"/ext/certificates/{found['id']}")
    assert (read.status_code, read.json()["data"]) == (200, found)
    later = (await live.call("POST", "/ext/certificates", {"from": payload["to"], "to": now(live)})).json()["data"]
    assert later["payload"]["previous"]["id"] == found["id"] and later["payload"]["lines"] == []


async def test_a_repeated_request_with_its_key_makes_one_certificate(live: Live) -> None:
    body = {"from": LONG_AGO, "to": now(live), "full": True}
    headers = {"Idempotency-Key": "k"}
    first, second = [(await live.call("POST", "/ext/certificates", body, headers=headers)).json() for _ in range(2)]
    assert first == second and first["data"]["subject"]["full"] is True


async def test_a_case_that_cannot_be_certified_is_named(live: Live) -> None:
    await funded(live)
    instance_id = await ran(live)
    await book(live, "shop", "world", "thief", 1, reference=f"headrace:{instance_id}:0:2")
    response = await made(live)
    assert (response.status_code, response.json()["details"]) == (
        409,
        {"reason": "extra_in_books", "case": instance_id},
    )


async def test_too_many_cases_are_too_large(live: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    await funded(live)
    await ran(live)
    monkeypatch.setattr(period_cases, "MAX_CASES", 0)
    response = await made(live)
    assert (response.status_code, response.json()["details"]) == (400, {"reason": "too_large"})


@pytest.mark.parametrize(
    "reference", ["headrace:nothing:0:0", "headrace:x", "headrace:INSTANCE:7:0", "headrace:INSTANCE:0:9"]
)
async def test_full_finds_a_transaction_that_is_no_effect(live: Live, reference: str) -> None:
    await funded(live)
    instance_id = await ran(live)
    await book(live, "main", "world", "users:eve", 5, reference="of somebody else")
    assert (await certified(live, full=True))["payload"]["full"] is True
    await book(live, "main", "world", "thief", 1, reference=reference.replace("INSTANCE", instance_id))
    assert (await made(live)).status_code == 201, "without full, only what a case can reach is asked for"
    response = await made(live, full=True)
    assert (response.status_code, response.json()["details"]["reason"]) == (409, "extra_in_books")


async def test_full_finds_the_reference_of_an_effect_on_another_ledger(live: Live) -> None:
    """Its books are those of nobody, though an open case has an effect with this reference."""
    await funded(live)
    instance_id = await ran(live)
    from_at, to_at = LONG_AGO, "2020-06-01T00:00:00Z"
    body = {"from": from_at, "to": to_at, "full": True}
    reference = f"headrace:{instance_id}:0:0"
    await book(live, "shop", "world", "thief", 1, reference=reference, timestamp="2020-03-01T00:00:00Z")
    response = await live.call("POST", "/ext/certificates", body)
    assert (response.status_code, response.json()["details"]["reason"]) == (409, "extra_in_books")


@pytest.mark.parametrize(
    ("path", "error", "found"),
    [
        ("/v2/shop/transactions", None, ("shop", "headrace:x:0:0")),
        ("/v2/shop/transactions?schemaVersion=v1", None, ("shop", "headrace:x:0:0")),
        ("/v2/shop/transactions", "refused", None),
        ("/v2/shop/accounts/jane/metadata", None, None),
        ("/v2/shop", None, None),
        ("/wallets/transactions", None, None),
    ],
)
def test_only_a_transaction_of_a_ledger_is_booked_with_a_reference(path: str, error: str | None, found: object) -> None:
    """Metadata has what names a caller likes: it explains no transaction."""
    row = ActivityRow("i", 0, 0, "CreateTransaction", "{}", 1, request_path=path, error=error)
    assert reference_of(msgspec.structs.replace(row, request_body=b'{"reference":"headrace:x:0:0"}')) == found
    assert reference_of(row) is None


async def test_full_declares_an_ingestion_that_no_case_has_booked(live: Live) -> None:
    await funded(live)
    await book(live, "main", "world", "payments", 5, reference="headrace:ingest:00")
    (found,) = (await certified(live, full=True))["payload"]["exceptions"]
    assert (found["kind"], found["key"]) == ("not_excluded", "headrace:ingest:00")


async def test_full_leaves_out_what_is_dated_before_and_knows_what_is_dated_back(live: Live) -> None:
    """A case of another period may have dated its transaction into this one."""
    await funded(live)
    instance_id = await ran(live)
    await book(live, "main", "world", "thief", 1, reference="headrace:x:0:0", timestamp="2019-06-01T00:00:00Z")
    begun = now(live)
    await certified(live, full=True)
    long_before = {"from": "2019-01-01T00:00:00Z", "to": LONG_AGO, "full": True}
    response = await live.call("POST", "/ext/certificates", long_before)
    assert response.status_code == 409
    later = await live.call("POST", "/ext/certificates", {"from": begun, "to": now(live), "full": True})
    assert later.status_code == 201 and instance_id
