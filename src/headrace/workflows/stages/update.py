"""`update`: add metadata to a ledger account. It is merged into what the account has."""

from __future__ import annotations

from collections.abc import Iterator

from headrace.errors import Problem
from headrace.workflows.activities import AddAccountMetadata, Json
from headrace.workflows.stages.kinds import ACCOUNT_ADDRESS, LEDGER_NAME
from headrace.workflows.stages.shape import Leaf, Object, TextMap
from headrace.workflows.stages.stage import StageContext, StageRun

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
        )
    },
    required=("account",),
)


class UpdateStage:
    keyword = "update"
    shape = UPDATE

    def problems(self, body: object, path: str) -> Iterator[Problem]:
        return UPDATE.problems(body, path)

    def normalise(self, body: Json, context: StageContext) -> Json:
        return UPDATE.read(body, "")

    def run(self, body: Json, context: StageContext) -> StageRun:
        account = body["account"]
        yield AddAccountMetadata(account["id"], account["ledger"], account["metadata"])
