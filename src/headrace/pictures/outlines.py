"""The outline of a definition: its sends alone, with a mark in place of each variable that has no value.

An outline can be planned like a run, over books in which everything that it names exists. Its picture then shows
`${amount}` where a run would have an amount.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from headrace.pictures.moves import AMOUNT_MARK, ASSET_MARK, Flow, Node
from headrace.workflows.activities import INTERNAL_LEDGER, Json
from headrace.workflows.stages.send.body import DEFAULT_DESTINATION_KEY
from headrace.workflows.variables import expand, missing

STILL: Json = {"wait_event": {"event": "outline"}}
"""Stands for a stage that moves no money."""
MARK = re.compile(r"outline(\d+)mark", re.ASCII | re.IGNORECASE)
"""Stands for a variable inside a name. Providers are written in capitals, so letters count alike."""
CHOICES = frozenset({"type", "waitingValidation", "sourceAccount", "connectorID", "allowOverdraft"})
"""Members of a party that change nothing in a picture, and are left out where they are open."""


@dataclass(frozen=True, slots=True)
class Outline:
    """A definition to plan, its variables, and the books over which to plan it, as a file of tests gives them.

    `names`: of the variables that have no value, by the number of their mark.
    """

    definition: Json
    variables: dict[str, str]
    books: Json
    names: tuple[str, ...] = ()


@dataclass(slots=True)
class _Books:
    """Everything that the sends of an outline name."""

    ledgers: dict[str, dict[str, Json]] = field(default_factory=dict[str, dict[str, Json]])
    wallets: dict[str, Json] = field(default_factory=dict[str, Json])
    payments: dict[str, Json] = field(default_factory=dict[str, Json])

    def add(self, party: Json, *, pays_to: Json) -> None:
        """Note a party; `pays_to`: the other one, which says where a payout's account is looked up."""
        metadata: dict[str, str] = {}
        if "payment" in pays_to and "psp" in pays_to["payment"]:
            key = pays_to["payment"].get("metadata", DEFAULT_DESTINATION_KEY)
            metadata = {key: "account-on-file"}
        if "account" in party:
            account = party["account"]
            own = self.ledgers.setdefault(account.get("ledger") or INTERNAL_LEDGER, {})
            own.setdefault(account["id"], {"metadata": {}})["metadata"].update(metadata)
        elif "wallet" in party:
            wallet = party["wallet"]
            wallet_id = wallet.get("id") or wallet.get("name", "")
            known = self.wallets.setdefault(wallet_id, {"id": wallet_id, "name": wallet_id, "metadata": {}})
            known["metadata"].update(metadata)
            if wallet.get("balance"):
                known.setdefault("balances", {})[wallet["balance"]] = {}
        elif "id" in party["payment"]:
            self.payments.setdefault(party["payment"]["id"], {"id": party["payment"]["id"]})

    def shown(self) -> Json:
        return {
            "ledgers": self.ledgers,
            "wallets": list(self.wallets.values()),
            "payments": list(self.payments.values()),
        }


def outline_of(definition: Json, variables: Mapping[str, str]) -> Outline:
    """The outline of a checked definition, with these variables given."""
    sends: list[Json | None] = [stage.get("send") for stage in definition["stages"]]
    open_names = missing((send for send in sends if send is not None), variables)
    marks = {name: f"outline{number}mark" for number, name in enumerate(open_names)}
    values = {**variables, **marks}
    amounts = {mark: AMOUNT_MARK + number for number, mark in enumerate(marks.values())}
    books = _Books()
    stages: list[Json] = []
    for send in sends:
        if send is None:
            stages.append(STILL)
            continue
        expanded = _expanded(send, values, amounts)
        source, destination = expanded["source"], expanded["destination"]
        books.add(source, pays_to=destination)
        books.add(destination, pays_to={})
        for payment in books.payments.values():
            payment.setdefault("asset", expanded["amount"]["asset"])
            payment.setdefault("amount", expanded["amount"]["amount"])
        stages.append({"send": expanded})
    named = {"name": definition["name"]} if "name" in definition else {}
    return Outline({**named, "stages": stages}, {}, books.shown(), tuple(open_names))


def _expanded(send: Json, values: Mapping[str, str], amounts: Mapping[str, int]) -> Json:
    """A send with its variables in place, and without what moves nothing: metadata, times, choices of a provider."""
    found: Json = expand({name: send[name] for name in ("source", "destination", "amount") if name in send}, values)
    amount = found["amount"]
    text = str(amount["amount"])
    if MARK.search(text):  # an amount of which only a part is open is as good as open
        amount["amount"] = amounts.get(text, AMOUNT_MARK)
    if (mark := MARK.search(amount["asset"])) is not None:
        amount["asset"] = f"{ASSET_MARK}{mark.group(1)}"
    for party in (found["source"], found["destination"]):
        for members in party.values():
            for name in CHOICES & members.keys():
                if MARK.search(str(members[name])):
                    del members[name]
    return found


def spelled(flow: Flow, names: tuple[str, ...]) -> Flow:
    """The flow of a plan of an outline, with `${name}` in place of each mark."""

    def node(of: Node) -> Node:
        return of._replace(name=_spelled(of.name, names), place=_spelled(of.place, names))

    moves = tuple(
        move._replace(source=node(move.source), destination=node(move.destination), note="") for move in flow.moves
    )
    shown = {node(of): _spelled(name, names) for of, name in flow.names.items()}
    return replace(flow, moves=moves, names=shown, unknowns=names)


def _spelled(text: str, names: tuple[str, ...]) -> str:
    """The text with names for marks; a mark that stands for no variable was a name of the definition's own."""

    def spelling(found: re.Match[str]) -> str:
        number = int(found.group(1))
        return "${" + names[number] + "}" if number < len(names) else found.group()

    return MARK.sub(spelling, text)
