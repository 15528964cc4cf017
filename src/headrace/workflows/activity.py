"""The base of an activity: what each must say about itself, and the registry of all of them.

A class that leaves out one of these facts cannot be defined, so a new activity can never be mistaken for a read. The
activities themselves are in `headrace.workflows.activities`.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from headrace.errors import InvalidValue
from headrace.money import amount_of, asset_name, readable_money

Json = dict[str, Any]
Service = Literal["ledger", "wallets", "payments"]


class Family(enum.Enum):
    """How a service lets an unknown attempt be settled. A read needs no settling: it is asked again."""

    READ = "read"
    TRANSACTION = "transaction"
    INGESTION = "ingestion"
    METADATA = "metadata"
    WALLET = "wallet"
    INITIATION = "initiation"
    REVERT = "revert"
    REVERSAL = "reversal"


@dataclass(frozen=True, slots=True)
class Activity:
    """A read or an effect on one service, with its arguments.

    `name` is the key under which stage history shows it. `known_by` says, for an effect, by which member its key is
    known to the service besides the header `Idempotency-Key`.
    """

    name: ClassVar[str]
    service: ClassVar[Service]
    family: ClassVar[Family]
    known_by: ClassVar[str]
    is_effect: ClassVar[bool]
    """Whether it writes. It follows from the family."""
    versions: ClassVar[frozenset[str]] = frozenset({"v1", "v2"})
    """The versions of the API that describe it. Elsewhere history shows its name, and neither input nor output."""

    def __init_subclass__(cls) -> None:
        """Register the activity. Raises TypeError where a fact is missing."""
        for fact in ("name", "service", "family"):
            if fact not in cls.__dict__:
                raise TypeError(f"activity {cls.__name__} does not say its `{fact}`")
        cls.is_effect = cls.family is not Family.READ
        if cls.is_effect and "known_by" not in cls.__dict__:
            raise TypeError(f"activity {cls.__name__} does not say its `known_by`")
        for method in ("input", "summary", "example", *(("booked", "movements", "searched") if cls.is_effect else ())):
            if method not in cls.__dict__:
                raise TypeError(f"activity {cls.__name__} has no `{method}`")
        known = REGISTRY.get(cls.name)
        if known is not None and known.__qualname__ != cls.__qualname__:
            raise TypeError(f"two activities are named {cls.name}: {known.__name__} and {cls.__name__}")
        REGISTRY[cls.name] = cls  # `slots=True` makes each class anew, so the second registration is the one that stays

    @property
    def settlement(self) -> Family:
        """How an unknown attempt of this very activity is settled: the arguments may make it another family's."""
        return self.family

    def input(self, key: str) -> Json:
        """The input that history shows under `name`, as the public description has it. `key` is "" for a read."""
        raise NotImplementedError

    @classmethod
    def summary(cls, shown: Json) -> str:
        """A sentence from the input that history shows.

        Raises LookupError where a member is missing: other servers may leave out what the description does not require.
        """
        raise NotImplementedError

    @classmethod
    def result(cls, output: Json) -> str:
        """A sentence from the output that history shows; empty where there is nothing to say."""
        return ""

    @classmethod
    def movements(cls, shown: Json) -> list[str]:
        """The effect as cases of tests name it, from the input that history shows: a line for each posting."""
        raise NotImplementedError

    @classmethod
    def searched(cls, shown: Json) -> list[str]:
        """The terms of `search_terms` that find an instance by this activity, from the input that history shows."""
        return []

    @classmethod
    def made(cls, shown: Json, output: Json) -> list[str]:
        """The terms of what the service made, from the input and the output that history shows."""
        return []

    def booked(self, result: Json) -> str:
        """Describe the write, for the error of a stage that ends after it. `result` is the service's object."""
        raise NotImplementedError

    @classmethod
    def example(cls) -> Activity:
        """One of these, for the reference."""
        raise NotImplementedError


REGISTRY: dict[str, type[Activity]] = {}
"""The activities by name, in the order of their definition."""


def effect_names() -> list[str]:
    """The activities that write."""
    return [name for name, activity in REGISTRY.items() if activity.is_effect]


def check_complete(
    table: Mapping[str, object],
    activities: Iterable[str],
    what: str,
    where: str = "in the file of its service in headrace.effects",
) -> None:
    """Check that a table has every activity. Raises TypeError at import, so that no run meets a gap."""
    missing = [name for name in activities if name not in table]
    if missing:
        raise TypeError(f"no {what} for {', '.join(missing)}: add it {where}")


def money_text(amount: Json | None) -> str:
    """`1.00 USD`, for people. Raises LookupError where a member is missing."""
    if not amount:
        return "nothing"
    value, asset = amount["amount"], amount["asset"]
    try:
        return readable_money(amount_of(value, "amount"), asset_name(asset, "asset"))
    except InvalidValue:  # from another server
        return f"{value} {asset}"


def units_text(amount: Json) -> str:
    """`100 USD/2`: the smallest units, as cases of tests name an amount."""
    return f"{amount['amount']} {amount['asset']}"
