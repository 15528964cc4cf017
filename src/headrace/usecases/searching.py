"""The search of instances by what a person types: an id, a value, an account, a payment, a booking, an amount.

The form of the text says which of them it is, and the answer says what was understood. Other filters are applied to
what the text finds, newest first; a scan that finds little ends after `MAX_SCANNED` instances, and says where to go on.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from headrace.errors import InvalidValue
from headrace.journal.lists import NEWEST, UNFINISHED, InstanceSearch, Place
from headrace.journal.port import Journal
from headrace.journal.records import InstanceSummary
from headrace.workflows.search_terms import (
    MAX_SEARCHED_CHARACTERS,
    MAX_TERM_CHARACTERS,
    MAX_VALUE_CHARACTERS,
    account_term,
    amount_term,
    fingerprint,
    initiation_term,
    parse_amount,
    payment_term,
    transaction_term,
    value_term,
    wallet_term,
)

MAX_SCANNED = 5_000
"""Instances that are looked at for one page; and those of a range with more terms than `MAX_TERMS`."""
MAX_TERMS = 20
MAX_ASSETS = 20
MAX_PRECISION = 100
MAX_TEXT_CHARACTERS = MAX_SEARCHED_CHARACTERS + 100
CHUNK = 200
MANY = 20_000
"""Ids that are looked at in one read, of which only the end is known: some 5 ms."""

_ID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_END = re.compile(r"[0-9a-f]{12}")
_KEY = re.compile(rf"headrace:({_ID.pattern}):[0-9]{{1,4}}:[0-9]{{1,6}}")
_AMOUNT = re.compile(r"(<=|>=|<|>|=)? ?([0-9]{1,40})(?:\.([0-9]{1,20}))? ?([A-Z][A-Z0-9]{0,16})(/[0-9]{1,6})?")
_COMMA = re.compile(r"([^,]*[0-9]),([0-9]{1,2})([^0-9,]*|[^0-9,]+/[0-9]+)")
_SPACES = str.maketrans(dict.fromkeys(" \u00a0\u202f_,'", ""))
_LAST = "\U0010ffff"
"""Behind every character of an address."""

Comparison = Literal["=", ">", ">=", "<", "<="]


@dataclass(frozen=True, slots=True)
class Money:
    """An amount that is looked for: `digits` with `decimals` of them behind the point.

    `asset`: with its precision, and the number is one of smallest units; or the code alone, for every precision.
    """

    comparison: Comparison
    digits: int
    decimals: int
    asset: str


@dataclass(frozen=True, slots=True)
class Wanted:
    """The wish behind a text, and `says` in words. One member is given, but that end, terms and ranges go together."""

    says: str
    ids: tuple[str, ...] = ()
    end: str = ""
    terms: tuple[str, ...] = ()
    ranges: tuple[tuple[str, str], ...] = ()
    variable: tuple[str, str] | None = None
    money: Money | None = None


@dataclass(frozen=True, slots=True)
class Found:
    """A page of a search. `next`: from where to go on; None: all that match were seen.

    `is_cut`: so many instances have such a term that only the first, by account or by amount, were looked at.
    """

    rows: list[InstanceSummary]
    next: Place | None
    says: str
    is_cut: bool = False


def parse(text: str) -> Wanted:
    """Read a text. Raises InvalidValue for one that nothing can have."""
    text = text.strip()
    if not text:
        raise InvalidValue("q", "is empty")
    if any(each == "\0" or "\ud800" <= each <= "\udfff" for each in text):
        raise InvalidValue("q", "has a character that no text of an instance has")
    if len(text) > MAX_TEXT_CHARACTERS:
        raise InvalidValue("q", f"has more than {MAX_TEXT_CHARACTERS} characters, and nothing so long is found")
    lower = text.lower()
    if _ID.fullmatch(lower):
        return Wanted(f"the run {lower}", ids=(lower,))
    if key := _KEY.fullmatch(lower):
        return Wanted(f"the run of the effect {lower}", ids=(key[1],))
    money = _AMOUNT.fullmatch(_with_point(text).translate(_SPACES))
    if money is not None and not (text.isascii() and text.isalnum()):  # `42A` is rather an order's number
        return _of_money(*money.groups())
    name, equals, value = text.partition("=")
    if equals and name.strip():
        return _of_variable(name.strip(), value.strip())
    if text.endswith("*"):
        begin = text[:-1]
        between = (f"account {begin}", f"account {begin}{_LAST}")
        return Wanted(f"runs that move money of accounts that begin with \u201c{begin}\u201d", ranges=(between,))
    terms = [wallet_term(text), payment_term(text), initiation_term(text)]
    if len(text) <= MAX_VALUE_CHARACTERS:
        terms.append(value_term(text))
    ledger, slash, rest = text.partition("/")
    if slash and rest:
        terms += [account_term(rest, ledger), transaction_term(rest, ledger)]
    ranges = (_each(f"account {text}"), _each(f"transaction {text}"))
    says = f"runs with {text} as the value of a variable, an account, a wallet, a payment or a transaction"
    if _END.fullmatch(lower):
        return Wanted(f"{says}, or as the end of their id", end=lower, terms=tuple(terms), ranges=ranges)
    return Wanted(says, terms=tuple(terms), ranges=ranges)


def _with_point(text: str) -> str:
    """An amount with a decimal comma, `1.000,50 EUR`, as one with a point; any other text as it is."""
    comma = _COMMA.fullmatch(text)
    return text if comma is None else f"{comma[1].replace('.', '')}.{comma[2]}{comma[3]}"


def _each(begin: str) -> tuple[str, str]:
    """The range of a value with whatever qualifies it: an account on any ledger."""
    return f"{begin} ", f"{begin}!"


def _of_variable(name: str, value: str) -> Wanted:
    if len(value) > MAX_SEARCHED_CHARACTERS:
        raise InvalidValue("q", f"has a value of more than {MAX_SEARCHED_CHARACTERS} characters, which is not found")
    return Wanted(f"runs whose variable {name} is exactly {value}", variable=(name, value))


def _of_money(sign: str | None, whole: str, part: str | None, code: str, precision: str | None) -> Wanted:
    """`129.00 EUR`, `> 1000 EUR`; with the asset's precision the number is one of smallest units: `12900 EUR/2`."""
    if precision is not None and part is not None:
        raise InvalidValue("q", f"has a decimal point, and {code}{precision} counts smallest units")
    comparison: Comparison = sign or "="  # pyright: ignore[reportAssignmentType]  # one of those of the pattern
    number, part = whole if part is None else f"{whole}.{part}", part or ""
    asset = f"{code}{precision or ''}"
    words = {"=": "exactly", ">": "more than", ">=": "at least", "<": "less than", "<=": "at most"}
    says = f"runs with an effect that moves {words[comparison]} {number} {asset}"
    return Wanted(says, money=Money(comparison, int(whole + part), len(part), asset))


async def search_instances(journal: Journal, rows: InstanceSearch, place: Place, limit: int) -> Found:
    """Instances that `rows.text` finds and the other filters keep, after a place, newest first.

    Raises InvalidValue for a text that nothing can have, and Unavailable.
    """
    assert rows.text is not None
    wanted = parse(rows.text)
    if wanted.money is not None:
        terms, ranges = await _money_terms(journal, wanted.money)
        wanted = replace(wanted, terms=terms, ranges=ranges)
    source = _Source(journal, wanted)
    kept: list[InstanceSummary] = []
    scanned = 0
    async for chunk in source.chunks(place):
        for row in chunk:
            scanned += 1
            place = Place(row.created_at, row.id)
            if rows.since_at is not None and row.created_at < rows.since_at:
                return Found(kept, None, wanted.says, source.is_cut)
            if not _is_kept(row, rows):
                continue
            if len(kept) == limit:
                last = kept[-1]
                return Found(kept, Place(last.created_at, last.id), wanted.says, source.is_cut)
            kept.append(row)
        if scanned >= MAX_SCANNED:
            return Found(kept, place, wanted.says, source.is_cut)
        await asyncio.sleep(0)
    return Found(kept, None, wanted.says, source.is_cut)


def _is_kept(row: InstanceSummary, rows: InstanceSearch) -> bool:
    is_status = rows.status is None or (
        row.terminated_at is None if rows.status == UNFINISHED else row.status == rows.status
    )
    is_workflow = rows.workflow_id is None or row.workflow_id == rows.workflow_id
    return is_status and is_workflow and (rows.error_code is None or row.error_code == rows.error_code)


class _Source:
    """The instances that have what is wanted, newest first, a chunk at a time. `is_cut` as in `Found`."""

    def __init__(self, journal: Journal, wanted: Wanted) -> None:
        self._journal = journal
        self._wanted = wanted
        self.is_cut = False

    async def chunks(self, place: Place) -> AsyncIterator[Sequence[InstanceSummary]]:
        wanted, lookups = self._wanted, self._journal.lookups
        if wanted.ids:
            yield [row for row in await lookups.summaries(wanted.ids) if Place(row.created_at, row.id) < place]
            return
        if wanted.variable is not None:
            exactly = InstanceSearch(fingerprint=fingerprint(*wanted.variable))
            while chunk := await self._journal.summaries_after(exactly, place, CHUNK):
                yield chunk
                place = Place(chunk[-1].created_at, chunk[-1].id)
            return
        terms, others = await self._expanded()
        while True:
            found = {*await lookups.places(terms, place, CHUNK)} if terms else set[Place]()
            found.update(each for each in others if each < place)
            newest = sorted(found, reverse=True)[:CHUNK]
            if not newest:
                return
            place = newest[-1]
            chunk = await lookups.summaries([each.id for each in newest])
            yield sorted(chunk, key=lambda row: (row.created_at, row.id), reverse=True)

    async def _expanded(self) -> tuple[list[str], set[Place]]:
        """The terms, those of short ranges among them; and the places of ranges with too many terms, and of ends."""
        terms = [term for term in self._wanted.terms if len(term) <= MAX_TERM_CHARACTERS]
        others = await self._with_end() if self._wanted.end else set[Place]()
        for first, before in self._wanted.ranges:
            found = await self._journal.lookups.terms(first, before, MAX_TERMS + 1)
            if len(found) <= MAX_TERMS:
                terms += found
                continue
            places = await self._journal.lookups.places_between(first, before, MAX_SCANNED)
            self.is_cut = self.is_cut or len(places) == MAX_SCANNED
            others.update(places)
        return terms, others

    async def _with_end(self) -> set[Place]:
        """The places of the newest instances whose id ends so: all ids are looked at, until one is found."""
        place = NEWEST
        while not (found := await self._journal.lookups.ends(self._wanted.end, place, MANY)).places:
            if found.last is None:
                break
            place = found.last
            await asyncio.sleep(0)
        return set(found.places)


async def _money_terms(journal: Journal, money: Money) -> tuple[tuple[str, ...], tuple[tuple[str, str], ...]]:
    """The terms and ranges of an amount, in each asset that the journal has of its code."""
    terms: list[str] = []
    ranges: list[tuple[str, str]] = []
    for asset in await _assets(journal, money.asset):
        precision = 0 if "/" in money.asset else int(asset.partition("/")[2] or 0)
        floor, rest = divmod(money.digits * 10**precision, 10**money.decimals)
        is_whole = rest == 0
        first, last = f"amount {asset} ", f"amount {asset}!"
        if money.comparison == "=":
            terms += [amount_term(floor, asset)] if is_whole else []
        elif money.comparison in (">", ">="):
            least = floor if is_whole and money.comparison == ">=" else floor + 1
            ranges.append((amount_term(least, asset), last))
        else:
            beyond = floor if is_whole and money.comparison == "<" else floor + 1
            ranges.append((first, amount_term(beyond, asset)))
    return tuple(terms), tuple(ranges)


async def _assets(journal: Journal, asset: str) -> list[str]:
    """The assets of a code that some effect has moved; the asset itself where it has a precision."""
    if "/" in asset:
        return [asset]
    found = [asset]
    first = f"amount {asset}/"
    while len(found) < MAX_ASSETS and (terms := await journal.lookups.terms(first, f"amount {asset}0", 1)):
        found.append(terms[0].split(" ")[1])
        first = f"amount {found[-1]}!"
    return [each for each in found if int(each.partition("/")[2] or 0) <= MAX_PRECISION]


async def count_and_sum(journal: Journal, rows: InstanceSearch, limit: int) -> tuple[int, dict[str, int]]:
    """How many instances a search without a text finds, `limit` where there are more; then nothing is added up.

    The sum is of what their first effects move, by asset, in smallest units.
    """
    count = await journal.lookups.count(rows, limit)
    if count >= limit:
        return count, {}
    return count, added_up(await journal.lookups.amounts(rows, limit))


def added_up(amounts: Sequence[str | None]) -> dict[str, int]:
    """The sum of amounts as `sortable_amount` writes them, by asset."""
    sums: dict[str, int] = {}
    for each in amounts:
        if each is not None:
            amount, asset = parse_amount(each)
            sums[asset] = sums.get(asset, 0) + amount
    return dict(sorted(sums.items()))
