"""The audit trail: who asked for what, when and why, by actor, object, operation and time; as CSV too."""

from __future__ import annotations

import asyncio
import csv
import io
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from urllib.parse import urlencode

from starlette.responses import Response

from headrace.console.ids import canonical_id, is_uuid
from headrace.console.pages import Page, Place
from headrace.console.sheets import cell
from headrace.console.words import stamp
from headrace.errors import InvalidValue
from headrace.journal.records import AuditEntry, Decision, ResolutionRow
from headrace.usecases.ports import Ports

ROWS = 50
MAX_EXPORTED = 10_000
CHUNK = 1_000
REACH, REACH_OF_EXPORT = 10_000, 200_000
"""Entries that one request looks through, for the list and for the CSV."""
LATEST = 2**63 - 1
FILTERS = ("principal", "target", "operation", "from", "before")
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Wanted:
    """The entries that are looked for; empty and None: any. Times in microseconds: from the first, before the other."""

    principal: str = ""
    target: str = ""
    operation: str = ""
    from_at: int | None = None
    before_at: int | None = None

    def fits(self, entry: AuditEntry) -> bool:
        return (
            self.operation in ("", entry.operation)
            and (self.from_at is None or entry.at >= self.from_at)
            and (self.before_at is None or entry.at < self.before_at)
        )

    def is_behind(self, entry: AuditEntry) -> bool:
        """Whether an entry is older than all that are looked for."""
        return self.from_at is not None and entry.at < self.from_at


@dataclass(frozen=True, slots=True)
class Found:
    """Entries, newest first. `older`: the number before which there may be more. `is_cut`: not all were looked at."""

    entries: list[AuditEntry]
    older: int | None
    is_cut: bool = False


@dataclass(frozen=True, slots=True)
class Line:
    """An entry as the list shows it. `link`: of its target; empty: it has no page."""

    entry: AuditEntry
    reason: str
    link: str


async def show_audit(place: Place) -> Page:
    """A page of the trail, newest first. Raises InvalidValue for a bad filter."""
    query, wanted = place.query, parse_wanted(place.query)
    number = query.get("number")
    if number is not None and not (number.isascii() and number.isdigit() and 0 < len(number) <= 18):
        raise InvalidValue("number", "is not a place in this list")
    found = await matching(place.ports, wanted, LATEST if number is None else int(number), ROWS, REACH)
    kept = {name: query[name] for name in FILTERS if query.get(name)}
    values = {
        "lines": [await line_of(place.ports, entry) for entry in found.entries],
        "query": {name: query.get(name, "") for name in FILTERS},
        "is_filtered": bool(kept),
        "newest": "/console/audit" + ("?" + urlencode(kept) if kept else ""),
        "download": "/console/audit.csv" + ("?" + urlencode(kept) if kept else ""),
        "older": None if found.older is None else "/console/audit?" + urlencode({**kept, "number": found.older}),
        "is_cut": found.is_cut,
        "is_first": number is None,
        "reach": REACH,
        "most": MAX_EXPORTED,
    }
    return Page("audit.html", "Audit", values)


async def download_audit(place: Place) -> Response:
    """The entries that fit the filters as CSV; no cell is a formula, and the last row says where there are more."""
    wanted = parse_wanted(place.query)
    found = await matching(place.ports, wanted, LATEST, MAX_EXPORTED, REACH_OF_EXPORT)
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(["number", "time_utc", "actor", "client", "operation", "object", "reason"])
    for count, each in enumerate(found.entries):
        if count % CHUNK == 0:
            await asyncio.sleep(0)
        cells = (each.principal, each.client_id or "", each.operation, each.target, await reason_of(place.ports, each))
        writer.writerow([each.seq, stamp(each.at), *map(cell, cells)])
    if found.older is not None:
        why = f"of at most {REACH_OF_EXPORT} looked through" if found.is_cut else f"at most {MAX_EXPORTED} in one file"
        writer.writerow([f"not complete: {len(found.entries)} rows, {why}; narrow the filters"])
    headers = {"content-disposition": 'attachment; filename="audit.csv"'}
    return Response(text.getvalue().encode(), media_type="text/csv; charset=utf-8", headers=headers)


def parse_wanted(query: Mapping[str, str]) -> Wanted:
    """The entries that a query asks for. Raises InvalidValue, which names the field."""
    times: list[int | None] = []
    for name in ("from", "before"):
        text = query.get(name, "").strip()
        try:
            moment = datetime.fromisoformat(text) if text else None
        except ValueError:
            raise InvalidValue(name, f"{text[:40]!r} is not a time such as 2026-05-01T10:00") from None
        if moment is not None and moment.tzinfo is None:
            moment = moment.replace(tzinfo=UTC)
        times.append(None if moment is None else (moment - EPOCH) // timedelta(microseconds=1))
    return Wanted(
        principal=query.get("principal", "").strip(),
        target=canonical_id(query.get("target", "").strip()),
        operation=query.get("operation", "").strip(),
        from_at=times[0],
        before_at=times[1],
    )


async def matching(ports: Ports, wanted: Wanted, before: int, most: int, reach: int) -> Found:
    """The newest `most` entries before a number that fit, of at most `reach` that are looked through.

    A clock may have been set back, so that times are not quite in the order of the entries: the search ends where a
    whole chunk of them is too old.
    """
    found: list[AuditEntry] = []
    seen = 0
    chunk = CHUNK if wanted.operation or wanted.from_at is not None or wanted.before_at is not None else most + 1
    while seen < reach:
        rows = await ports.journal.audit(before, chunk, target=wanted.target, principal=wanted.principal)
        found += filter(wanted.fits, rows)
        seen += len(rows)
        if len(found) > most:
            return Found(found[:most], found[most - 1].seq)
        if len(rows) < chunk or all(map(wanted.is_behind, rows)):
            return Found(found, None)
        before = rows[-1].seq
        await asyncio.sleep(0)
    return Found(found, before, is_cut=True)


async def line_of(ports: Ports, entry: AuditEntry) -> Line:
    """An entry with the reason of its principal, and a link to what it is about."""
    link = ""
    if is_uuid(entry.target):
        if await ports.journal.instance(entry.target) is not None:
            link = f"/console/runs/{entry.target}"
        elif await ports.journal.batch(entry.target) is not None:
            link = f"/console/batches/{entry.target}"
    return Line(entry, await reason_of(ports, entry), link)


async def reason_of(ports: Ports, entry: AuditEntry) -> str:
    """The reason that the principal gave; empty for a write that asks for none."""
    journal, target = ports.journal, entry.target
    reasons: list[Decision] | list[ResolutionRow] = []
    match entry.operation:
        case "abortInstance":
            return await journal.abort_reason(target) or ""
        case "redriveInstance" | "undoInstance":
            step = await journal.predecessor(target)
            return "" if step is None else step.reason
        case "createBatch":
            batch = await journal.batch(target)
            return "" if batch is None else batch.reason
        case "resolveEffect":
            reasons = await journal.resolutions(target)
        case "approvePlan" | "rejectPlan" | "approveBatch" | "rejectBatch":
            reasons = await journal.decisions(target)
        case _:
            pass
    return next((row.reason for row in reasons if (row.principal, row.at) == (entry.principal, entry.at)), "")
