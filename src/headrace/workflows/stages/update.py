"""`update`: add metadata to a ledger account. It is merged into what the account has."""

from __future__ import annotations

from collections.abc import Iterator

from headrace.errors import Problem
from headrace.money import account_address, ledger_name
from headrace.workflows.commands import AddAccountMetadata, Json
from headrace.workflows.stages.shape import Leaf, Object, TextMap
from headrace.workflows.stages.stage import StageContext, StageRun

UPDATE = Object(
    {
        "account": Object(
            {"id": Leaf(account_address), "ledger": Leaf(ledger_name), "metadata": TextMap()},
            required=("id", "ledger", "metadata"),
        )
    },
    required=("account",),
)


class UpdateStage:
    keyword = "update"

    def problems(self, body: object, path: str) -> Iterator[Problem]:
        return UPDATE.problems(body, path)

    def normalise(self, body: Json, context: StageContext) -> Json:
        return UPDATE.read(body, "")

    def run(self, body: Json, context: StageContext) -> StageRun:
        account = body["account"]
        yield AddAccountMetadata(account["id"], account["ledger"], account["metadata"])
