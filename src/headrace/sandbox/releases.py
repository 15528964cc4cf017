"""Which releases of the real services the sandbox imitates, where their answers and events differ."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, cast, get_args

from headrace.sandbox.responses import Json

LedgerRelease = Literal["2.2", "2.4"]
EventShape = Literal["v2", "v3"]

DEFAULT_URL = "http://127.0.0.1:8484"


@dataclass(frozen=True, slots=True)
class Releases:
    """`ledger` decides the ledger's answers, `events` the shape of the payments events."""

    ledger: LedgerRelease = "2.4"
    events: EventShape = "v3"
    url: str = DEFAULT_URL
    """Origin of the stack, to which the links of payments events lead."""

    @classmethod
    def of(cls, ledger: str, events: str, url: str) -> Releases:
        """From settings. Raises ValueError for a release that is not imitated."""
        if ledger not in get_args(LedgerRelease) or events not in get_args(EventShape):
            raise ValueError(f"no such release: ledger {ledger}, events {events}")
        return cls(cast("LedgerRelease", ledger), cast("EventShape", events), url)

    @property
    def is_current_ledger(self) -> bool:
        return self.ledger == "2.4"

    @property
    def has_idempotency_hit(self) -> bool:
        """Whether a replayed answer has the header `Idempotency-Hit: true`."""
        return self.is_current_ledger

    def takes_asset(self, asset: str) -> bool:
        """Assets with a suffix, such as USD_E/2, came with ledger 2.4."""
        return self.is_current_ledger or "_" not in asset

    def transaction(self, document: Json) -> Json:
        """A stored transaction as this ledger shows it: `updatedAt` came with 2.4."""
        if self.is_current_ledger:
            return {**document, "updatedAt": document.get("updatedAt", document["insertedAt"])}
        return {name: value for name, value in document.items() if name != "updatedAt"}
