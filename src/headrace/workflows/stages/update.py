"""`update`: add metadata to a ledger account. It is merged into what the account has."""

from __future__ import annotations

from headrace.workflows.activities import AddAccountMetadata, Json, metadata_lines
from headrace.workflows.stages.formats import ACCOUNT_ADDRESS, LEDGER_NAME
from headrace.workflows.stages.shape import Leaf, Object, TextMap
from headrace.workflows.stages.stage import Display, StageContext, StageRun, StageType

UPDATE = Object(
    "Add metadata to a ledger account. It is merged into what the account has.",
    {
        "account": Object(
            "The account, and what to add to it.",
            {
                "id": Leaf(ACCOUNT_ADDRESS, "The account's address.", examples=("users:jane", "orders:${order}")),
                "ledger": Leaf(LEDGER_NAME, "The ledger the account is on.", examples=("main", "${ledger}")),
                "metadata": TextMap(
                    "Texts by key. Keys are taken as they are, values may hold `${variables}`.",
                    examples=({"state": "settled", "tier": "${tier}"},),
                ),
            },
            required=("id", "ledger", "metadata"),
            name="UpdateAccount",
            client_name="UpdateAccount",
        )
    },
    required=("account",),
    name="Update",
    client_name="Update",
)


class UpdateStage(StageType):
    keyword = "update"
    shape = UPDATE
    about = "Adds metadata to a ledger account. Keys that are there already get the new value, others stay."
    example = (
        'name: settle\nstages:\n  - update:\n      account: {id: "orders:${order}", ledger: main, '
        "metadata: {state: settled}}"
    )
    label = "update"
    color, pale = "#3f8f63", "#d6ecdf"
    dark_color, dark_pale = "#56d39a", "#12382a"

    def run(self, body: Json, context: StageContext) -> StageRun:
        account = body["account"]
        yield AddAccountMetadata(account["id"], account["ledger"], account["metadata"])

    def sentence(self, body: Json) -> str:
        account: Json = body.get("account") or {}
        metadata: Json = account.get("metadata") or {}
        pairs = ", ".join(f"{name} = {value}" for name, value in metadata.items())
        return f"Mark {account.get('id', '')}" + (f": {pairs}" if pairs else "")

    def describe(self, body: Json, display: Display) -> list[str]:
        account: Json = body.get("account") or {}
        where = f"Update account '{account.get('id', '')}' of ledger '{account.get('ledger', '')}'"
        return [where, *metadata_lines(account.get("metadata"))]
