"""Pages of lists, forwards and backwards, without lost or repeated rows while rows are added and removed.

A page is the rows after a place in the list, and the place of a row never changes. So each row that exists all the time
is on exactly one page of a walk; a row that is added, ends or is deleted during the walk is on one page or on none.
Memory is bounded, however large the rows are: a long page is sent in parts.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any, Generic, TypeVar

from headrace.api.context import Context
from headrace.api.cursors import FIELD, MAX_PAGE, Cursor, Seal
from headrace.api.operations import Parameter
from headrace.api.requests import Request
from headrace.api.responses import JSON, Response, StreamedResponse, json_response
from headrace.errors import InvalidValue
from headrace.journal.lists import NEWEST, AnyList, OccurrenceList, Place
from headrace.journal.port import Journal
from headrace.journal.records import AttentionRow, Batch, Instance, InstanceSummary, Occurrence, Plan, Trigger, Workflow
from headrace.json_text import encode
from headrace.usecases.names import NamedWorkflow

DEFAULT_PAGE = 15
PART = 15
"""Rows read and sent at a time: the event of one occurrence may have a megabyte."""

_WHOLE = re.compile(r"-?[0-9]{1,6}", re.ASCII)

ListT = TypeVar("ListT", bound=AnyList)
Row = Workflow | Instance | InstanceSummary | Trigger | Occurrence | AttentionRow | Plan | Batch | NamedWorkflow
RowT = TypeVar("RowT", bound=Row)
Read = Callable[[ListT, Place, int], Awaitable[list[RowT]]]

PARAMETERS = (
    Parameter(
        FIELD,
        "`next` or `previous` of a page. It contains the whole query: no other parameter is given with it.",
        {"type": "string"},
    ),
    Parameter(
        "pageSize",
        "Rows on a page.",
        {"type": "integer", "format": "int64", "minimum": 1, "maximum": MAX_PAGE, "default": DEFAULT_PAGE},
    ),
)


async def page_response(
    context: Context, request: Request, rows: ListT, read: Read[ListT, RowT], show: Callable[[RowT], Any]
) -> Response:
    """The page of a query. `rows` is the list, with the filters of the query."""
    seal = Seal(await context.ports.journal.identity())
    cursor = page_cursor(request, seal, rows)
    parts = _Page(context.ports.journal, seal, cursor, read, show, is_first=cursor.place == NEWEST).parts()
    if cursor.page_size <= PART:
        return json_response(200, b"".join([part async for part in parts]))
    return StreamedResponse(200, headers=JSON, parts=_resumed(await anext(parts), parts))


def page_cursor(request: Request, seal: Seal, rows: AnyList) -> Cursor:
    """The page of a query. Beside a cursor, empty parameters and `running=false` do not count as parameters."""
    text = request.query(FIELD)
    size = request.query("pageSize")
    if text is not None:
        cursor = seal.read(text)
        if size is not None:
            raise InvalidValue(FIELD, "contains the whole query: leave pageSize out")
        if not isinstance(rows, OccurrenceList) and rows != type(rows)():
            raise InvalidValue(FIELD, "contains the whole query: leave the filters out")
        if type(cursor.rows) is not type(rows) or (isinstance(rows, OccurrenceList) and cursor.rows != rows):
            raise InvalidValue(FIELD, "belongs to another list")
        return cursor
    if size is None:
        return Cursor(rows, NEWEST, DEFAULT_PAGE)
    if not _WHOLE.fullmatch(size) or not 1 <= int(size) <= MAX_PAGE:
        raise InvalidValue("pageSize", f"must be a whole number from 1 to {MAX_PAGE}, not {size[:40]!r}")
    return Cursor(rows, NEWEST, int(size))


async def _resumed(first: bytes, rest: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    yield first
    async for part in rest:
        yield part


class _Page(Generic[ListT, RowT]):
    """One page while it is sent."""

    def __init__(
        self,
        journal: Journal,
        seal: Seal,
        cursor: Cursor,
        read: Read[ListT, RowT],
        show: Callable[[RowT], Any],
        *,
        is_first: bool,
    ) -> None:
        self._journal = journal
        self._seal = seal
        self._cursor = cursor
        self._read = read
        self._show = show
        self._is_first = is_first
        self._first: Place | None = None
        self._last: Place | None = None
        self._has_more = False

    async def parts(self) -> AsyncIterator[bytes]:
        """The JSON of the response; `hasMore` and the cursors come last, because they are known last."""
        yield b'{"cursor":{"pageSize":%d,"data":[' % self._cursor.page_size
        is_begun = False
        async for shown in self._backwards() if self._cursor.is_backward else self._forwards():
            yield (b"," if is_begun else b"") + encode([self._show(row) for row in shown])[1:-1]
            is_begun = True
        yield b'],"hasMore":' + (b"true" if self._has_more else b"false")
        for name, text in await self._neighbours():
            yield b',"%s":"%s"' % (name, text.encode())
        yield b"}}"

    async def _forwards(self) -> AsyncIterator[Sequence[RowT]]:
        place, left = self._cursor.place, self._cursor.page_size
        while left:
            wanted = min(left, PART)
            found = await self._rows_after(place, wanted + 1)  # one more shows whether more rows follow
            self._has_more = len(found) > wanted
            if found:
                place = self._noted(found[:wanted])
                yield found[:wanted]
            if not self._has_more:
                return
            left -= wanted
            await asyncio.sleep(0)

    async def _backwards(self) -> AsyncIterator[Sequence[RowT]]:
        """The rows nearest before the place when the page began, the newest first.

        Rows inserted among them meanwhile are left out: each would displace a row that a walk backwards would then
        never show.
        """
        places = await self._journal.places_before(self._cursor.rows, self._cursor.place, self._cursor.page_size)
        members = set(places)
        place = places[-1].before() if places else self._cursor.place
        while places and place > places[0]:
            found = await self._rows_after(place, max(1, min(PART, len(members))))
            if shown := [row for row in found if _place(row) in members]:
                members.difference_update(map(_place, shown))
                self._noted(shown)
                yield shown
            place = _place(found[-1]) if found else places[0]
            await asyncio.sleep(0)
        self._has_more = bool(await self._rows_after(self._last or self._cursor.place.before(), 1))

    async def _rows_after(self, place: Place, limit: int) -> list[RowT]:
        rows: Any = self._cursor.rows
        return await self._read(rows, place, limit)

    def _noted(self, shown: Sequence[RowT]) -> Place:
        self._first = self._first or _place(shown[0])
        self._last = _place(shown[-1])
        return self._last

    async def _neighbours(self) -> list[tuple[bytes, str]]:
        """`next` and `previous`, where there are such rows."""
        found: list[tuple[bytes, str]] = []
        cursor = self._cursor
        if self._has_more:
            found.append((b"next", self._sealed(self._last or cursor.place.before(), is_backward=False)))
        newer = self._first or (cursor.place if cursor.is_backward else cursor.place.after())
        if not self._is_first and await self._journal.places_before(cursor.rows, newer, 1):
            found.append((b"previous", self._sealed(newer, is_backward=True)))
        return found

    def _sealed(self, place: Place, *, is_backward: bool) -> str:
        return self._seal.write(Cursor(self._cursor.rows, place, self._cursor.page_size, is_backward))


def _place(row: Row) -> Place:
    return Place(row.created_at, row.id)
