"""What stages ask of the services: each activity with an example, its request and what history shows of it."""

from __future__ import annotations

from docs.generator.markdown import block, code, pretty, table
from headrace.effects.requests import prepare
from headrace.money import posting
from headrace.workflows.commands import (
    ACTIVITIES,
    Activity,
    AddAccountMetadata,
    CreateTransaction,
    CreateTransferInitiation,
    CreditWallet,
    DebitWallet,
    GetAccount,
    GetPayment,
    GetWallet,
    ListWallets,
)

INTRODUCTION = """An activity is a named read or effect on a service. Stage history
([getInstanceStageHistory](orchestration-v1.md#getinstancestagehistory)) has an entry for each, whose `input` is an object
with one member, named like the activity; so is its `output`, where the service answers with something to show. `delay` and
`wait_event` have none. An effect's key, `headrace:{instance}:{stage}:{number}`, is known to the service as its
`Idempotency-Key` (ledger and wallets) and by the member that is named here."""
KEY = "headrace:INSTANCE:0:0"
EXAMPLES: tuple[Activity, ...] = (
    GetAccount("merchants:7", "shop"),
    GetPayment("PAYMENT"),
    GetWallet("WALLET"),
    ListWallets("jane"),
    CreateTransaction("shop", posting("users:1", "merchants:7", 2500, "USD/2"), {"order": "1"}),
    AddAccountMetadata("orders:1", "shop", {"state": "settled"}),
    CreditWallet("WALLET", 2500, "USD/2", [{"type": "ACCOUNT", "identifier": "world"}], "main", {"order": "1"}),
    DebitWallet("WALLET", 2500, "USD/2", ["main"], None, {"order": "1"}),
    CreateTransferInitiation("stripe", 2500, "USD/2", "acct_1", type="PAYOUT"),
)
KNOWN_BY = {
    "CreateTransaction": "`reference`",
    "AddAccountMetadata": "",
    "CreditWallet": "`reference`",
    "DebitWallet": "metadata `headrace_effect`",
    "CreateTransferInitiation": "`reference`, which history does not show",
}


def activities() -> list[str]:
    """Raises AssertionError where an activity has no example."""
    assert [type(example) for example in EXAMPLES] == list(ACTIVITIES.values())
    rows = [(code(each.name), "effect" if each.is_effect else "read", *_request(each)) for each in EXAMPLES]
    inputs = [{each.name: each.input(KEY if each.is_effect else "")} for each in EXAMPLES]
    return [
        "## Activities",
        INTRODUCTION,
        table(("Activity", "Kind", "Asks", "Known by"), rows),
        "What history shows as `input`, an example of each:",
        block("json", pretty(inputs)),
    ]


def _request(activity: Activity) -> tuple[str, str]:
    request = prepare(activity, KEY if activity.is_effect else "", 0)
    return f"{activity.service}: {code(f'{request.method} {request.path}')}", KNOWN_BY.get(activity.name, "")
