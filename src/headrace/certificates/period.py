"""The certificate of a period: one line for each case that ended in it, their sums, and what had not ended.

A case ends with its last instance; one that goes on later, by a continuation or an undo, ends again. It then has a line
in the period of its last end, with the whole case, and with the totals that an earlier certificate has `counted` of it:
these are taken off the sums. So the sums of a chain of periods add up to what the cases have moved, and a period that
is closed stays closed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from headrace.certificates.conservation import Totals
from headrace.certificates.statement import FORMAT, Issuer, checked_text, statement_sha
from headrace.planning.canonical import sha
from headrace.workflows.activities import Json

LATE = "late"
"""The exception of a line whose case ended before the period."""

Place = tuple[str, int]
"""The ledger and the id of a transaction."""


@dataclass(frozen=True, slots=True)
class Period:
    """From a moment, which belongs to it, to another one, which does not. `is_full`: the ledgers are listed."""

    from_at: int
    to_at: int
    is_full: bool = False


@dataclass(frozen=True, slots=True)
class Counted:
    """A line of an earlier certificate of the chain."""

    certificate_id: str
    line: Json


@dataclass(frozen=True, slots=True)
class EndedCase:
    """A case that ended in the period, as its own certificate has it. `sha`: of that statement."""

    id: str
    ended_at: int
    sha: str
    totals: dict[str, Json]
    exceptions: list[Json]
    ingested: dict[Place, tuple[str, int]]

    @classmethod
    def of(
        cls, payload: Json, ended_at: int, ingested: dict[Place, tuple[str, int]], *, is_late: bool = False
    ) -> EndedCase:
        """`is_late`: it ended before the period, and this was stored after its own period was certified."""
        exceptions = [*payload["exceptions"], *([{"kind": LATE}] if is_late else [])]
        return cls(payload["case"], ended_at, statement_sha(payload), payload["assets"], exceptions, ingested)


@dataclass(frozen=True, slots=True)
class OpenCase:
    """A case that had not ended at the end of the period. `at_rest`: by asset, as the history records it."""

    id: str
    started_at: int
    at_rest: dict[str, int]


@dataclass(slots=True)
class Finding:
    """All that a period holds. `went_on`: cases that ended in it and began again after it, with the time of that end.

    `unexplained`: the references of ingestions on the ledgers that no case of the period has booked.
    """

    ended: list[EndedCase] = field(default_factory=list[EndedCase])
    open: list[OpenCase] = field(default_factory=list[OpenCase])
    went_on: list[tuple[int, str]] = field(default_factory=list[tuple[int, str]])
    unexplained: list[Json] = field(default_factory=list[Json])


def lines_of(cases: Iterable[EndedCase], counted: Mapping[str, Counted]) -> list[Json]:
    """The lines of a period, by the time of the end.

    A payment that several cases have ingested counts in one line, which lists it as `ingested`: in that which counted
    it before, else in the first of this period. The others declare it as `shared`.
    """
    found: list[Json] = []
    seen = {place for each in counted.values() for place in (*_ingested(each.line), *_shared(each.line))}
    for case in sorted(cases, key=lambda each: (each.ended_at, each.id)):
        before = counted.get(case.id)
        own = set[Place]() if before is None else set(_ingested(before.line))
        totals, exceptions, ingested = dict(case.totals), list(case.exceptions), list[Json]()
        for place, (asset, amount) in sorted(case.ingested.items()):
            shown = {"asset": asset, "ledger": place[0], "transaction": place[1], "amount": amount}
            if place in seen - own:
                sums = totals[asset]  # it came in, and left a bridge
                bridge = {**sums["bridge"], "out": sums["bridge"]["out"] - amount}
                totals[asset] = {**sums, "in": sums["in"] - amount, "bridge": bridge}
                exceptions.append({"kind": "shared", **shown})
            else:
                ingested.append(shown)
            seen.add(place)
        line: Json = {"case": case.id, "endedAt": checked_text(case.ended_at), "sha": case.sha, "totals": totals}
        if exceptions:
            line["exceptions"] = exceptions
        if ingested:
            line["ingested"] = ingested
        if before is not None:
            line["counted"] = {"certificate": before.certificate_id, "totals": before.line["totals"]}
        found.append(line)
    return found


def _ingested(line: Json) -> list[Place]:
    """The ingestions that a line counts."""
    return [(each["ledger"], each["transaction"]) for each in line.get("ingested", [])]


def _shared(line: Json) -> list[Place]:
    """The ingestions that a line leaves to another one."""
    found: list[Json] = line.get("exceptions", [])
    return [(each["ledger"], each["transaction"]) for each in found if each["kind"] == "shared"]


def sums_of(lines: Iterable[Json]) -> dict[str, Json]:
    """The sums of lines by asset, less what earlier certificates have counted."""
    found: dict[str, Json] = {}
    for line in lines:
        for totals, sign in ((line["totals"], 1), (line.get("counted", {}).get("totals", {}), -1)):
            for asset, each in totals.items():
                sums = found.setdefault(asset, Totals().shown())
                for side in ("in", "out"):
                    sums["bridge"][side] += sign * each["bridge"][side]
                for name in sums.keys() - {"bridge"}:
                    sums[name] += sign * each[name]
    return {asset: found[asset] for asset in sorted(found)}


def period_payload(
    period: Period, finding: Finding, counted: Mapping[str, Counted], previous: Json | None, issuer: Issuer
) -> Json:
    """The payload of the certificate of a period. `previous`: the certificate of the period before."""
    lines = lines_of(finding.ended, counted)
    resting: dict[str, int] = {}
    for case in finding.open:
        for asset, amount in case.at_rest.items():
            resting[asset] = resting.get(asset, 0) + amount
    oldest = min(finding.open, key=lambda each: (each.started_at, each.id), default=None)
    exceptions: list[Json] = [
        *({"kind": "went_on", "case": case_id, "endedAt": checked_text(at)} for at, case_id in sorted(finding.went_on)),
        *({"kind": "not_excluded", **each} for each in finding.unexplained),
    ]
    return {
        "format": FORMAT,
        "kind": "period",
        "journal": issuer.journal,
        "from": checked_text(period.from_at),
        "to": checked_text(period.to_at),
        "full": period.is_full,
        "cases": len(lines),
        "linesSha": sha(lines),
        "lines": lines,
        "assets": sums_of(lines),
        "open": {
            "count": len(finding.open),
            "oldest": None if oldest is None else {"case": oldest.id, "startedAt": checked_text(oldest.started_at)},
            "atRest": {asset: amount for asset, amount in sorted(resting.items()) if amount},
        },
        "exceptions": exceptions,
        "previous": previous,
        "checkedAt": checked_text(issuer.checked_at),
        "release": issuer.release,
    }
