"""How payments shows its accounts, payments and initiations: in both versions of its API and of its events.

Version 3 spells members `...ID`, and its events carry amounts as text. The public schema of those says that amounts are
numbers; the service publishes text.
"""

from __future__ import annotations

from urllib.parse import quote

from headrace.sandbox.responses import Json

_PROVIDERS_V3 = {
    "ADYEN": "adyen",
    "ATLAR": "atlar",
    "BANKING-CIRCLE": "bankingcircle",
    "CURRENCY-CLOUD": "currencycloud",
    "DUMMY-PAY": "dummypay",
    "GENERIC": "generic",
    "MANGOPAY": "mangopay",
    "MODULR": "modulr",
    "MONEYCORP": "moneycorp",
    "STRIPE": "stripe",
    "WISE": "wise",
}

# Events


def account_v2(account: Json) -> Json:
    names = ("id", "createdAt", "reference", "provider", "defaultAsset", "accountName", "type")
    return {**_some(account, *names), "connectorId": account["connectorID"]}


def account_v3(account: Json) -> Json:
    names = ("id", "connectorID", "createdAt", "reference", "type")
    payload = {**_some(account, *names), "provider": provider_v3(account["provider"]), "rawData": account["raw"]}
    return payload | _given(
        defaultAsset=account["defaultAsset"], name=account["accountName"], metadata=account["metadata"]
    )


def payment_v2(payment: Json, url: str) -> Json:
    names = ("id", "reference", "createdAt", "provider", "type", "status", "scheme", "asset", "amount", "initialAmount")
    return {
        **_some(payment, *names),
        "connectorId": payment["connectorID"],
        **_given(sourceAccountId=payment["sourceAccountID"], destinationAccountId=payment["destinationAccountID"]),
        "links": _links(payment, f"{url}/api/payments/accounts"),
        "rawData": payment["raw"],
        "metadata": payment["metadata"],
    }


def payment_v3(payment: Json, url: str) -> Json:
    """A payment in the form of payments v3, whose amounts are text in events."""
    names = ("id", "connectorID", "reference", "createdAt", "type", "status", "scheme", "asset")
    return {
        **_some(payment, *names),
        "provider": provider_v3(payment["provider"]),
        "amount": str(payment["amount"]),
        "initialAmount": str(payment["initialAmount"]),
        "rawData": payment["raw"],
        **_given(
            sourceAccountID=payment["sourceAccountID"],
            destinationAccountID=payment["destinationAccountID"],
            links=_links(payment, f"{url}/api/payments/v3/accounts"),
            metadata=payment["metadata"],
        ),
    }


def initiation_v2(initiation: Json) -> Json:
    names = ("id", "createdAt", "scheduledAt", "provider", "description", "type", "amount", "asset", "status", "error")
    return {
        **_some(initiation, *names),
        "connectorId": initiation["connectorID"],
        "sourceAccountId": initiation["sourceAccountID"],
        "destinationAccountId": initiation["destinationAccountID"],
        "attempts": 1,
        "relatedPayments": [],
    }


def initiation_v3(initiation: Json) -> Json:
    """A transfer initiation in the form of payments v3."""
    names = ("id", "connectorID", "reference", "createdAt", "scheduledAt", "description", "type", "asset")
    return {
        **_some(initiation, *names),
        "provider": provider_v3(initiation["provider"]),
        "amount": str(initiation["amount"]),
        **_given(
            sourceAccountID=initiation["sourceAccountID"],
            destinationAccountID=initiation["destinationAccountID"],
            metadata=initiation["metadata"],
        ),
    }


def adjustment_v3(initiation: Json, adjustment: Json) -> Json:
    return {
        "id": adjustment["adjustmentID"],
        "paymentInitiationID": initiation["id"],
        "status": adjustment["status"],
        "amount": str(initiation["amount"]),
        "asset": initiation["asset"],
        **_given(metadata=adjustment["metadata"]),
    }


# The API, version 3: there amounts are numbers


def api_account_v3(account: Json) -> Json:
    shown = _some(account, "id", "connectorID", "reference", "createdAt", "type", "defaultAsset", "metadata", "raw")
    return {**shown, "provider": provider_v3(account["provider"]), "name": account["accountName"]}


def api_payment_v3(payment: Json) -> Json:
    names = ("id", "connectorID", "reference", "createdAt", "type", "status", "scheme", "asset", "metadata")
    accounts = ("sourceAccountID", "destinationAccountID")
    return {
        **_some(payment, *names, "amount", "initialAmount", "adjustments"),
        **{name: payment[name] or None for name in accounts},
        "provider": provider_v3(payment["provider"]),
    }


def provider_v3(provider: str) -> str:
    return _PROVIDERS_V3.get(provider, provider)


def _links(payment: Json, accounts_url: str) -> list[Json]:
    names = {"source_account": "sourceAccountID", "destination_account": "destinationAccountID"}
    return [
        {"name": name, "uri": f"{accounts_url}/{quote(payment[member], safe='')}"}
        for name, member in names.items()
        if payment[member]
    ]


def _some(document: Json, *names: str) -> Json:
    return {name: document[name] for name in names}


def _given(**members: object) -> Json:
    """Members that a service leaves out while they are empty."""
    return {name: value for name, value in members.items() if value}
