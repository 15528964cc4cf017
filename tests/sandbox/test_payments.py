"""Payments: pay-ins by a call, transfer initiations known by their reference."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote

import pytest

from tests.sandbox.conftest import Service

PAY_IN: dict[str, Any] = {
    "reference": "p1",
    "connectorID": "DUMMY-PAY",
    "createdAt": "2024-01-01T00:00:00Z",
    "amount": 10**30,
    "type": "PAY-IN",
    "status": "SUCCEEDED",
    "scheme": "visa",
    "asset": "USD/2",
}
INITIATION: dict[str, Any] = {
    "reference": "t1",
    "scheduledAt": "2024-01-01T00:00:00Z",
    "description": "",
    "sourceAccountID": "",
    "destinationAccountID": "acc",
    "type": "PAYOUT",
    "amount": 10**30,
    "asset": "USD/2",
    "validated": True,
    "provider": "STRIPE",
}
ACCOUNT: dict[str, Any] = {
    "reference": "acc-1",
    "connectorID": "stripe",
    "createdAt": "2024-01-01T00:00:00Z",
    "defaultAsset": "USD/2",
    "accountName": "Jane",
    "type": "EXTERNAL",
    "metadata": {"user": "users:1"},
}
NAMES = "id reference createdAt scheduledAt description sourceAccountID destinationAccountID connectorID type amount"


def by_reference(path: str, reference: str) -> str:
    return f"{path}?query={quote(json.dumps({'$match': {'reference': reference}}))}"


class TestPayments:
    def test_pay_in(self, payments: Service) -> None:
        made = payments.post("/payments", PAY_IN, status=200)["data"]
        expected = {**PAY_IN, "initialAmount": 10**30, "provider": "DUMMY-PAY", "sourceAccountID": ""}
        assert {name: made[name] for name in expected} == expected
        assert (made["raw"], made["adjustments"], made["metadata"]) == ({}, [], {})
        assert payments.get(f"/payments/{made['id']}")["data"] == made

    @pytest.mark.parametrize(
        ("connector", "provider"), [("stripe", "STRIPE"), ("WISE", "WISE"), ("eyJQcm92aWRlciI6", "DUMMY-PAY")]
    )
    def test_providers(self, payments: Service, connector: str, provider: str) -> None:
        made = payments.post("/payments", {**PAY_IN, "connectorID": connector}, status=200)["data"]
        assert (made["connectorID"], made["provider"]) == (connector, provider)

    def test_list_newest_first(self, payments: Service) -> None:
        for number in range(5):
            payments.post("/payments", {**PAY_IN, "reference": f"p{number}"}, status=200)
        first = payments.get("/payments?pageSize=3")["cursor"]
        second = payments.get(f"/payments?cursor={first['next']}")["cursor"]
        assert [one["reference"] for one in first["data"] + second["data"]] == ["p4", "p3", "p2", "p1", "p0"]
        assert [one["reference"] for one in payments.get(by_reference("/payments", "p2"))["cursor"]["data"]] == ["p2"]

    @pytest.mark.parametrize("name", list(PAY_IN))
    def test_every_documented_member_is_required(self, payments: Service, name: str) -> None:
        answer = payments.post("/payments", {key: PAY_IN[key] for key in PAY_IN if key != name}, status=400)
        assert answer["errorCode"] == "VALIDATION" and name in answer["errorMessage"]

    @pytest.mark.parametrize(
        "change",
        [
            {"type": "PAYIN"},
            {"status": "OK"},
            {"scheme": "cash"},
            {"amount": "1"},
            {"asset": "usd"},
            {"createdAt": ""},
        ],
    )
    def test_wrong_values(self, payments: Service, change: dict[str, Any]) -> None:
        assert payments.post("/payments", {**PAY_IN, **change}, status=400)["errorCode"] == "VALIDATION"

    def test_a_reference_is_used_once_per_connector(self, payments: Service) -> None:
        payments.post("/payments", PAY_IN, status=200)
        assert payments.post("/payments", PAY_IN, status=400)["errorCode"] == "VALIDATION"
        payments.post("/payments", {**PAY_IN, "connectorID": "WISE"}, status=200)

    def test_unknown(self, payments: Service) -> None:
        assert payments.get("/payments/nope", status=404)["errorCode"] == "NOT_FOUND"

    def test_version_3_shows_the_same_payment(self, payments: Service) -> None:
        made = payments.post("/payments", {**PAY_IN, "destinationAccountID": "acc"}, status=200)["data"]
        shown = payments.get(f"/v3/payments/{made['id']}")["data"]
        assert (shown["amount"], shown["initialAmount"]) == (10**30, 10**30), "numbers: only its events have text"
        assert (shown["provider"], shown["destinationAccountID"]) == ("dummypay", "acc")
        assert shown["sourceAccountID"] is None
        assert payments.get("/v3/payments")["cursor"]["data"] == [shown]
        assert payments.get("/v3/payments/nope", status=404)["errorCode"] == "NOT_FOUND"
        assert payments.call("GET", "/v3/nothing").status == 404


class TestAccounts:
    def test_both_versions_show_the_same_account(self, payments: Service) -> None:
        made = payments.post("/accounts", ACCOUNT, status=200)["data"]
        assert {name: made[name] for name in ACCOUNT} == ACCOUNT
        assert (made["provider"], made["pools"], made["raw"]) == ("STRIPE", [], {})
        assert payments.get(f"/accounts/{made['id']}")["data"] == made
        shown = payments.get(f"/v3/accounts/{made['id']}")["data"]
        assert (shown["name"], shown["provider"], shown["metadata"]) == ("Jane", "stripe", {"user": "users:1"})
        assert shown["id"] == made["id"] and "accountName" not in shown
        assert payments.get("/v3/accounts")["cursor"]["data"] == [shown]
        second = payments.post("/v3/accounts", {**ACCOUNT, "reference": "acc-2"}, status=201)["data"]
        assert second["name"] == "Jane"
        assert [one["reference"] for one in payments.get("/accounts")["cursor"]["data"]] == ["acc-2", "acc-1"]
        found = payments.get(by_reference("/v3/accounts", "acc-1"))["cursor"]["data"]
        assert [one["id"] for one in found] == [made["id"]]

    @pytest.mark.parametrize("name", ["reference", "connectorID", "createdAt", "type"])
    def test_what_is_required(self, payments: Service, name: str) -> None:
        answer = payments.post("/accounts", {key: ACCOUNT[key] for key in ACCOUNT if key != name}, status=400)
        assert answer["errorCode"] == "VALIDATION" and name in answer["errorMessage"]

    @pytest.mark.parametrize(
        "change", [{"type": "MINE"}, {"defaultAsset": "usd"}, {"metadata": {"a": 1}}, {"createdAt": "today"}]
    )
    @pytest.mark.parametrize("path", ["/accounts", "/v3/accounts"])
    def test_wrong_values(self, payments: Service, path: str, change: dict[str, Any]) -> None:
        answer = payments.post(path, {**ACCOUNT, **change}, status=400)
        assert answer["errorCode"] == "VALIDATION" and next(iter(change)) in answer["errorMessage"]
        assert payments.get("/accounts")["cursor"]["data"] == []

    def test_a_reference_is_used_once_per_connector(self, payments: Service) -> None:
        payments.post("/accounts", ACCOUNT, status=200)
        assert payments.post("/v3/accounts", ACCOUNT, status=400)["errorCode"] == "VALIDATION"
        payments.post("/accounts", {**ACCOUNT, "connectorID": "WISE"}, status=200)

    @pytest.mark.parametrize("path", ["/accounts/nope", "/v3/accounts/nope"])
    def test_unknown(self, payments: Service, path: str) -> None:
        assert payments.get(path, status=404)["errorCode"] == "NOT_FOUND"


class TestTransferInitiations:
    def test_validated_is_processed_at_once(self, payments: Service) -> None:
        made = payments.post("/transfer-initiations", {**INITIATION, "metadata": {"k": "v"}}, status=200)["data"]
        expected = {name: INITIATION[name] for name in INITIATION if name != "validated"}
        assert {name: made[name] for name in expected} == expected
        assert made["status"] == "PROCESSED" and made["error"] == "" and made["metadata"] == {"k": "v"}
        assert made["initialAmount"] == 10**30 and made["connectorID"] == "STRIPE"
        assert set(NAMES.split()) <= set(made)
        assert payments.get(f"/transfer-initiations/{made['id']}")["data"] == made

    @pytest.mark.parametrize(("decision", "status"), [("VALIDATED", "PROCESSED"), ("REJECTED", "REJECTED")])
    def test_waiting_until_decided_and_only_once(self, payments: Service, decision: str, status: str) -> None:
        made = payments.post("/transfer-initiations", {**INITIATION, "validated": False}, status=200)["data"]
        assert made["status"] == "WAITING_FOR_VALIDATION"
        path = f"/transfer-initiations/{made['id']}"
        payments.post(f"{path}/status", {"status": decision}, status=204)
        read = payments.get(path)["data"]
        assert read["status"] == status
        assert [one["status"] for one in read["relatedAdjustments"]] == ["WAITING_FOR_VALIDATION", status]
        assert payments.post(f"{path}/status", {"status": "REJECTED"}, status=400)["errorCode"] == "VALIDATION"

    def test_status_of_nothing_or_to_nothing(self, payments: Service) -> None:
        made = payments.post("/transfer-initiations", {**INITIATION, "validated": False}, status=200)["data"]
        payments.post(f"/transfer-initiations/{made['id']}/status", {"status": "DONE"}, status=400)
        payments.post("/transfer-initiations/nope/status", {"status": "VALIDATED"}, status=404)

    def test_a_reference_is_unique_and_a_key_means_nothing(self, payments: Service) -> None:
        made = payments.post("/transfer-initiations", INITIATION, key="k", status=200)["data"]
        again = payments.post("/transfer-initiations", INITIATION, key="k", status=400)
        assert again["errorCode"] == "VALIDATION"
        found = payments.get(by_reference("/transfer-initiations", "t1"))["cursor"]["data"]
        assert found == [made]
        assert payments.get(by_reference("/transfer-initiations", "t2"))["cursor"]["data"] == []

    @pytest.mark.parametrize(
        "change",
        [
            {"reference": ""},
            {"scheduledAt": None},
            {"description": None},
            {"sourceAccountID": None},
            {"destinationAccountID": ""},
            {"type": "PAY-IN"},
            {"amount": 1.5},
            {"asset": ""},
            {"validated": None},
            {"validated": "true"},
            {"provider": None},
            {"provider": "PIGGYBANK"},
            {"metadata": {"a": 1}},
        ],
    )
    def test_refused(self, payments: Service, change: dict[str, Any]) -> None:
        answer = payments.post("/transfer-initiations", {**INITIATION, **change}, status=400)
        assert answer["errorCode"] == "VALIDATION"
        assert payments.get("/transfer-initiations")["cursor"]["data"] == []


REVERSAL: dict[str, Any] = {
    "reference": "r1",
    "description": "",
    "amount": 10**30,
    "asset": "USD/2",
    "metadata": None,
}


class TestReversals:
    @pytest.fixture
    def path(self, payments: Service) -> str:
        made = payments.post("/transfer-initiations", INITIATION, status=200)["data"]
        return f"/transfer-initiations/{made['id']}"

    def test_a_whole_reversal(self, payments: Service, path: str) -> None:
        payments.post(f"{path}/reverse", REVERSAL, status=204)
        read = payments.get(path)["data"]
        assert read["status"] == "REVERSED"
        assert [each["status"] for each in read["relatedAdjustments"]] == ["PROCESSED", "REVERSED"]

    def test_a_reference_reverses_once(self, payments: Service, path: str) -> None:
        part = {**REVERSAL, "amount": 1}
        payments.post(f"{path}/reverse", part, status=204)
        payments.post(f"{path}/reverse", part, status=204)
        assert len(payments.get(path)["data"]["relatedAdjustments"]) == 2
        assert payments.post(f"{path}/reverse", {**part, "amount": 2}, status=400)["errorCode"] == "VALIDATION"

    def test_parts_add_up_to_the_whole_and_to_no_more(self, payments: Service, path: str) -> None:
        payments.post(f"{path}/reverse", {**REVERSAL, "amount": 1}, status=204)
        assert payments.get(path)["data"]["status"] == "PARTIALLY_REVERSED"
        payments.post(f"{path}/reverse", {**REVERSAL, "reference": "r2"}, status=400)
        payments.post(f"{path}/reverse", {**REVERSAL, "reference": "r2", "amount": 10**30 - 1}, status=204)
        assert payments.get(path)["data"]["status"] == "REVERSED"

    @pytest.mark.parametrize(
        "change",
        [{"reference": ""}, {"amount": None}, {"amount": -1}, {"asset": "EUR/2"}, {"asset": None}, {"metadata": 1}],
    )
    def test_refused(self, payments: Service, path: str, change: dict[str, Any]) -> None:
        assert payments.post(f"{path}/reverse", {**REVERSAL, **change}, status=400)["errorCode"] == "VALIDATION"
        assert payments.get(path)["data"]["status"] == "PROCESSED"

    @pytest.mark.parametrize("status", ["FAILED", "REVERSED", "PROCESSING", "ASK_REVERSED", "REVERSE_PROCESSING"])
    def test_only_what_is_paid_is_reversed(self, payments: Service, path: str, status: str) -> None:
        """The status route takes what a bank would report."""
        payments.post(f"{path}/status", {"status": status}, status=204)
        assert payments.post(f"{path}/reverse", REVERSAL, status=400)["errorCode"] == "VALIDATION"
        assert payments.get(path)["data"]["status"] == status

    def test_of_nothing(self, payments: Service) -> None:
        payments.post("/transfer-initiations/nope/reverse", REVERSAL, status=404)

    def test_waiting_is_no_bank_status(self, payments: Service, path: str) -> None:
        payments.post(f"{path}/status", {"status": "WAITING_FOR_VALIDATION"}, status=400)
