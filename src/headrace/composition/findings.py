"""Findings of `headrace doctor`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Status = Literal["ok", "warning", "failed"]


@dataclass(frozen=True, slots=True)
class Finding:
    """Result of one check; `hint` suggests a remedy."""

    check: str
    status: Status
    text: str
    hint: str = ""
