"""What the operator's settings permit an instance to do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Policy:
    """Whose variables may name `world` as a source account (decision M9), and schema versions by ledger."""

    allow_world_from_trigger: bool = False
    allow_world_from_caller: bool = True
    ledger_schemas: Mapping[str, str] = field(default_factory=dict[str, str])
