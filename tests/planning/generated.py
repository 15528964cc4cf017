"""Workflows by chance: few accounts, little money and many ways to reach the same, so that stages meet each other."""

from __future__ import annotations

from random import Random
from typing import Any

from headrace.workflows.activities import INTERNAL_LEDGER
from headrace.workflows.conditions import OUTCOMES, WHEN, parts_of
from headrace.workflows.decisions import numbered
from headrace.workflows.stages import STAGES
from tests.planning.books import ACCOUNTS, ASSETS, LEDGERS, MISSING_LEDGER, PAY_TO, Books, Json, wallet_address

MAX_STAGES = 6
AMOUNTS = (0, 1, 40, 60, 100, 250)
METADATA_KEYS = (PAY_TO, PAY_TO, "iban")


class Maker:
    """Makes one workflow and its variables over given books."""

    def __init__(self, random: Random, books: Books) -> None:
        self._random = random
        self._books = books
        self._variables: dict[str, str] = {}

    def workflow(self) -> tuple[Json, dict[str, str]]:
        stages: list[Json] = []
        for _ in range(self._random.randint(1, MAX_STAGES)):
            stage = self._stage()
            if self._random.random() < 0.3:
                stage[WHEN] = self._condition(stages)
            stages.append(stage)
        return {"name": "generated", "stages": stages}, self._variables

    def _stage(self) -> Json:
        kind = self._random.choices(("send", "update", "delay", "wait_event"), (12, 3, 1, 1))[0]
        match kind:
            case "delay":
                return {"delay": self._pick({"duration": "2h"}, {"until": "2024-05-01T18:00:00Z"}, {"duration": "0s"})}
            case "wait_event":
                return {"wait_event": {"event": "confirmed"}}
            case "update":
                metadata = {self._pick(*METADATA_KEYS): self._text(self._pick("acc_new", "acc_other"))}
                return {"update": {"account": {"id": self._account(), "ledger": self._ledger(), "metadata": metadata}}}
            case _:
                return {"send": self._send()}

    def _condition(self, before: list[Json]) -> str:
        """A condition by a variable, by how a stage before has ended or by what that has read."""
        kinds = ("variable", "number", "outcome", "read") if before else ("variable", "number")
        kind = self._random.choices(kinds, (3, 3, 4, 4)[: len(kinds)])[0]
        number = self._random.randrange(max(len(before), 1))
        name = f"v{len(self._variables)}"
        match kind:
            case "variable":
                self._variables[name] = self._pick("yes", "no")
                return f'vars.{name} == "yes"'
            case "number":
                self._variables[name] = self._pick("1", "99", "9" * 40, "many")
                return f"int(vars.{name}) > {self._pick(0, 50)}"
            case "outcome":
                return f'stages[{number}].outcome {self._pick("==", "!=")} "{self._pick(*OUTCOMES)}"'
            case _:
                read = self._pick(*(_reads_of(before[number]) or ("",)))
                place = f"stages[{number}].reads.{read}"
                if not read:
                    return "false"
                member = {"GetWallet": ".ledger", "GetWallet2": ".ledger", "GetPayment": ".status"}.get(read)
                if member is None:
                    return f"{place} {self._pick('==', '!=')} nil"
                # Of a stage that was skipped, the plain access fails.
                return f'{place}{self._pick("", "?")}{member} == "{self._pick("main", "SUCCEEDED")}"'

    def _send(self) -> Json:
        source, asset = self._source(), self._pick(ASSETS[0], ASSETS[0], ASSETS[0], ASSETS[1])
        send: Json = {
            "source": source,
            "destination": self._destination(may_be_payment="payment" not in source),
            "amount": {"asset": asset, "amount": self._text(str(self._pick(*AMOUNTS)))},
        }
        if self._random.random() < 0.2:
            send["metadata"] = {"order": self._text("o-1")}
        if self._random.random() < 0.1:
            send["timestamp"] = "2024-04-01T00:00:00Z"
        return send

    def _source(self) -> Json:
        match self._random.choices(("account", "wallet", "payment"), (5, 3, 2))[0]:
            case "account":
                return {"account": self._account_end(self._pick(*ACCOUNTS, "world", self._alias()))}
            case "wallet":
                return {"wallet": self._wallet()}
            case _:
                payment: Json = {"id": self._text(self._pick(*self._books.payments[:3], *self._books.payments, "none"))}
                if self._random.random() < 0.5:
                    payment["ledger"] = self._ledger()
                if self._random.random() < 0.2:
                    payment["throughAccount"] = self._pick("bridge", "fees")
                if self._random.random() < 0.2:
                    payment["holdingAccount"] = self._pick("holding", "users:jane")
                if self._random.random() < 0.5:
                    payment["allowOverdraft"] = True
                return {"payment": payment}

    def _destination(self, *, may_be_payment: bool) -> Json:
        kinds = ("account", "wallet", "payment") if may_be_payment else ("account", "wallet")
        match self._random.choices(kinds, (5, 3, 3)[: len(kinds)])[0]:
            case "account":
                return {"account": self._account_end(self._pick(*ACCOUNTS, "world", "new:one", self._alias()))}
            case "wallet":
                return {"wallet": self._wallet()}
            case _:
                payment: Json = {"psp": self._pick("stripe", "wise"), "type": self._pick("PAYOUT", "TRANSFER")}
                if self._random.random() < 0.3:
                    payment["metadata"] = self._pick(*METADATA_KEYS)
                if self._random.random() < 0.3:
                    payment["waitingValidation"] = True
                return {"payment": payment}

    def _account_end(self, address: str) -> Json:
        account: Json = {"id": self._text(address), "ledger": self._ledger()}
        if self._random.random() < 0.2:
            account["throughAccount"] = self._pick("bridge", "fees")
        if self._random.random() < 0.15:
            account["allowOverdraft"] = True
        return account

    def _wallet(self) -> Json:
        wallet: Json = {"balance": self._pick("main", "main", "coupons", "new")}
        if self._random.random() < 0.4:
            wallet["name"] = self._text(
                self._random.choices(("jane", "joe", "shop", "twin", "none"), (4, 4, 4, 1, 1))[0]
            )
        else:
            ids = [wallet["id"] for wallet in self._books.wallets]
            wallet["id"] = self._text(self._pick(*ids, *ids, ids[0].upper(), "00000000-0000-7000-8000-ffffffffffff"))
        return wallet

    def _alias(self) -> str:
        """The account behind a wallet's balance: the same money by another name."""
        return wallet_address(self._pick(*self._books.wallets)["id"], "main")

    def _account(self) -> str:
        return self._text(self._pick(*ACCOUNTS, "new:one"))

    def _ledger(self) -> str:
        return self._text(self._random.choices((*LEDGERS, INTERNAL_LEDGER, MISSING_LEDGER), (10, 4, 4, 2, 1))[0])

    def _text(self, value: str) -> str:
        """The value, at times by a variable."""
        if self._random.random() < 0.8:
            return value
        name = f"v{len(self._variables)}"
        self._variables[name] = value
        return f"${{{name}}}"

    def _pick(self, *choices: Any) -> Any:
        return self._random.choice(choices)


def _reads_of(stage: Json) -> list[str]:
    keyword, body = parts_of(stage)
    names: list[str] = []
    for name in STAGES[keyword].reads(body):
        names.append(numbered(names, name))
    return names
