"""A valid definition and its triggers as rules look at them, with values as they are written."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal, cast

from headrace.expr import InvalidExpression
from headrace.expr.builtins import NAMES
from headrace.expr.nodes import Nil, Node
from headrace.expr.parser import parse
from headrace.linting.evaluation import value_of
from headrace.linting.partial import UNKNOWN, PartialText, Value
from headrace.money import WORLD
from headrace.triggers.language import FUNCTIONS, LIMITS
from headrace.workflows.activities import INTERNAL_LEDGER
from headrace.workflows.conditions import WHEN
from headrace.workflows.stages.send.body import MAIN_BALANCE
from headrace.workflows.variables import has_placeholder

Json = dict[str, Any]

Key = tuple[str, ...]
"""Identity of what holds money within one run: equal texts are equal, whatever the variables are."""

_NAMES = FUNCTIONS | {"event"}


def is_literal(value: object) -> bool:
    """True for a value that no variable changes."""
    return value is not None and not (isinstance(value, str) and has_placeholder(value))


@dataclass(frozen=True, slots=True)
class Party:
    """One side of a send. `members` are those of its account, wallet or payment, without nulls."""

    kind: Literal["account", "wallet", "payment"]
    members: Json
    path: str

    def path_of(self, member: str) -> str:
        return f"{self.path}.{member}"

    @property
    def ledger(self) -> str | None:
        """Name of the ledger. None for a wallet, whose ledger is known only when it is read, and for a payout."""
        if self.kind == "payment" and "id" in self.members:
            return self.members.get("ledger", INTERNAL_LEDGER)
        return self.members.get("ledger") if self.kind == "account" else None

    @property
    def account(self) -> str | None:
        """Address of the account that holds the money. None where a default or the wallets service decides it."""
        name = {"account": "id", "payment": "holdingAccount", "wallet": ""}[self.kind]
        return self.members.get(name)

    @property
    def through(self) -> str:
        """The account on this side's ledger by which money goes to another ledger, or comes from it."""
        return self.members.get("throughAccount", WORLD)

    @property
    def key(self) -> Key | None:
        """Identity of the holder. None for a payout, for `world`, and for an account without a ledger."""
        members = self.members
        if self.kind == "wallet":
            name = ("id", members["id"]) if members.get("id") else ("name", members["name"])
            return ("wallet", *name, members.get("balance", MAIN_BALANCE))
        if self.kind == "payment":
            return ("payment", members["id"]) if "id" in members else None
        return None if members["id"] == WORLD or self.ledger is None else ("account", self.ledger, members["id"])

    @property
    def name(self) -> str:
        """The holder in a few words."""
        members = self.members
        return f"{self.kind} `{members.get('id') or members.get('name') or members.get('psp')}`"

    def may_share_ledger(self, other: Party) -> bool:
        """True unless the ledgers of two parties are known and differ."""
        if self.ledger is None or other.ledger is None:
            return False
        is_known = is_literal(self.ledger) and is_literal(other.ledger)
        return self.ledger == other.ledger or not is_known


@dataclass(frozen=True, slots=True)
class Send:
    """One `send` stage. `amount` is an integer or text, as it is written."""

    index: int
    path: str
    source: Party
    destination: Party
    amount: int | str
    asset: str
    metadata: Json
    timestamp: str | None

    @property
    def parties(self) -> tuple[Party, Party]:
        return self.source, self.destination

    @property
    def payers(self) -> Iterator[tuple[Party, str]]:
        """The accounts that pay in postings of this send, where it may choose them: each party and its member."""
        for party, kind, member in (
            (self.source, "account", "id"),
            (self.source, "payment", "throughAccount"),
            (self.destination, "account", "throughAccount"),
        ):
            if party.kind == kind:
                yield party, member


@dataclass(frozen=True, eq=False)
class Trigger:
    """A valid trigger that starts the workflow. `variables` are its `vars`: expressions by name."""

    event: str
    filter: str | None = None
    variables: Mapping[str, str] = field(default_factory=dict[str, str])

    @cached_property
    def condition(self) -> Node | None:
        """Syntax tree of the filter. None without a filter: every event of the type then matches."""
        return None if self.filter is None else _parsed(self.filter)

    @cached_property
    def expressions(self) -> dict[str, Node]:
        """Syntax trees of the variables."""
        return {name: _parsed(source) for name, source in self.variables.items()}

    @cached_property
    def bindings(self) -> dict[str, Value]:
        """Values of the variables for all events, as texts."""
        return {name: _variable_text(value_of(node, UNKNOWN)) for name, node in self.expressions.items()}

    def is_on(self, app: str, kind: str) -> bool:
        """True if events of this app and type reach the trigger: by type, or by `app.type` in any case."""
        return self.event == kind or self.event.lower() == f"{app}.{kind}".lower()


@dataclass(frozen=True)
class Workflow:
    """A definition that the server accepts, and triggers that start it. `document` is the object with `stages`."""

    document: Json
    triggers: tuple[Trigger, ...] = ()

    @property
    def stages(self) -> list[Json]:
        return self.document["stages"]

    @cached_property
    def sends(self) -> tuple[Send, ...]:
        return tuple(_send(index, body) for index, body in self.bodies("send"))

    @cached_property
    def conditional(self) -> frozenset[int]:
        """The stages with a condition: a run may skip each of them, so nothing is certain that depends on it."""
        return frozenset(index for index, stage in enumerate(self.stages) if WHEN in stage)

    def bodies(self, keyword: str) -> Iterator[tuple[int, Json]]:
        """The bodies of all stages of a type, each with its stage's number, from 0."""
        for index, stage in enumerate(self.stages):
            if keyword in stage:
                yield index, _without_nulls(stage[keyword])


def _send(index: int, body: Json) -> Send:
    path = f"stages[{index}].send"
    return Send(
        index,
        path,
        _party(body["source"], f"{path}.source"),
        _party(body["destination"], f"{path}.destination"),
        body["amount"]["amount"],
        body["amount"]["asset"],
        body.get("metadata", {}),
        body.get("timestamp"),
    )


def _party(side: Json, path: str) -> Party:
    ((kind, members),) = _without_nulls(side).items()
    return Party(cast("Any", kind), _without_nulls(members), f"{path}.{kind}")


def _without_nulls(members: Json) -> Json:
    """The members that count: null means left out."""
    return {name: value for name, value in members.items() if value is not None}


def _parsed(source: str) -> Node:
    """Parse an expression. One that is not valid, which the check of triggers reports, counts as nil."""
    try:
        return parse(source, LIMITS, NAMES, _NAMES)
    except (InvalidExpression, RecursionError):
        return Nil(0)


def _variable_text(value: Value) -> Value:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    return value if isinstance(value, str | PartialText) else UNKNOWN
