"""Faults that the sandbox injects: `SERVICE:KIND:RATE[:SECONDS]` (decision W6). `KINDS` describes each kind.

`Sandbox.send` applies them. Which requests are hit depends on the seed and on their order, on nothing else.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from fractions import Fraction
from hashlib import sha256
from http import HTTPStatus
from typing import Literal, get_args

from headrace.effects.port import Request, Response
from headrace.errors import InvalidValue
from headrace.sandbox.responses import bare, error
from headrace.sandbox.stack import INTERNAL_CODES
from headrace.workflows.activities import Service

Kind = Literal["status", "drop", "delay", "overlap"]


@dataclass(frozen=True, slots=True)
class FaultKind:
    """Which requests a kind of fault hits, besides writes (POST), and whether it has a length."""

    about: str
    hits_reads: bool = False
    needs_key: bool = False
    takes_seconds: bool = False


KINDS: dict[Kind, FaultKind] = {
    "status": FaultKind(
        "Respond with this status and do not perform the request; SECONDS becomes its Retry-After.",
        hits_reads=True,
        takes_seconds=True,
    ),
    "drop": FaultKind("Perform the request and do not respond."),
    "delay": FaultKind(
        "Perform the request and respond SECONDS later (1 by default).", hits_reads=True, takes_seconds=True
    ),
    "overlap": FaultKind(
        "Perform the request and do not respond; refuse the next request of that key as if both had run at once "
        "(contract 8.1); answer the third as a replay.",
        needs_key=True,
    ),
}
NAMED_KINDS: dict[str, Kind] = {kind: kind for kind in KINDS if kind != "status"}
"""Kinds that `--fault` names; it gives a status as its number."""

_FIELD = "fault"
_NUMBER = re.compile(r"[0-9]{1,9}(?:\.[0-9]{1,9})?|\.[0-9]{1,9}")
_STATUS = re.compile(r"[345][0-9]{2}")
_SERVICES: tuple[Service, ...] = get_args(Service)


@dataclass(frozen=True, slots=True)
class Fault:
    """A failure to inject into requests of one service."""

    service: Service
    kind: Kind
    rate: Fraction
    """Share of the matching requests that fail: 0 to 1."""
    status: int = 0
    length_us: int | None = None
    """How long a delay is, or how long to wait after a status."""

    def concerns(self, request: Request) -> bool:
        if request.service != self.service:
            return False
        kind = KINDS[self.kind]
        if kind.needs_key and not request.key:
            return False
        return request.method == "POST" or kind.hits_reads

    @property
    def delay_s(self) -> float:
        return timedelta(microseconds=1_000_000 if self.length_us is None else self.length_us).total_seconds()

    def response(self) -> Response:
        """Response of a status fault. Below 500 it is not the service's own JSON, so that it is no refusal."""
        phrase = f"{HTTPStatus(self.status).phrase} (a fault of the sandbox)"
        if self.status >= 500:
            response = error(self.status, INTERNAL_CODES[self.service], phrase)
        else:
            response = bare(self.status, phrase)
        if self.length_us is not None:
            response.headers["retry-after"] = str(-(-self.length_us // 1_000_000))
        return response


def parse_fault(text: str) -> Fault:
    """Parse a fault. Raises InvalidValue naming the wrong part."""
    parts = text.split(":")
    if len(parts) not in (3, 4):
        raise InvalidValue(_FIELD, f"{text!r} is not SERVICE:KIND:RATE[:SECONDS], such as ledger:drop:0.2")
    service, kind, rate = parts[:3]
    if service not in _SERVICES:
        raise InvalidValue(_FIELD, f"{service!r} is not a service: one of {', '.join(_SERVICES)}")
    if kind in NAMED_KINDS:
        parsed, status = NAMED_KINDS[kind], 0
    elif _STATUS.fullmatch(kind) and int(kind) in set(HTTPStatus):
        parsed, status = "status", int(kind)
    else:
        raise InvalidValue(_FIELD, f"{kind!r} is not a kind: a status from 300 to 599, {', '.join(NAMED_KINDS)}")
    if KINDS[parsed].needs_key and service == "payments":
        raise InvalidValue(_FIELD, f"payments takes no idempotency key, so it knows no {parsed}")
    length_us = None
    if len(parts) == 4:
        if not KINDS[parsed].takes_seconds:
            raise InvalidValue(_FIELD, f"{parsed} takes no seconds")
        if not _NUMBER.fullmatch(parts[3]):
            raise InvalidValue(_FIELD, f"{parts[3]!r} is not a number of seconds")
        length_us = int(Fraction(parts[3]) * 1_000_000)
    if not _NUMBER.fullmatch(rate) or Fraction(rate) > 1:
        raise InvalidValue(_FIELD, f"{rate!r} is not a rate: a number from 0 to 1")
    return Fault(service, parsed, Fraction(rate), status, length_us)


class FaultPlan:
    """Decides, one request after another, which faults hit it. Each fault throws dice of its own."""

    def __init__(self, faults: Sequence[Fault], seed: str) -> None:
        self._faults = list(faults)
        self._throws = [0] * len(faults)
        self._seed = seed

    def hits(self, request: Request) -> list[Fault]:
        return [
            fault
            for index, fault in enumerate(self._faults)
            if fault.concerns(request) and self._falls(index, fault.rate)
        ]

    def _falls(self, index: int, rate: Fraction) -> bool:
        self._throws[index] += 1
        digest = sha256(f"{self._seed}:{index}:{self._throws[index]}".encode()).digest()
        return int.from_bytes(digest[:8], "big") * rate.denominator < rate.numerator << 64
