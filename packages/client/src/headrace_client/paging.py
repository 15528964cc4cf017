"""Lists of V2: a page of rows, and all pages one after another."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any, Generic, TypeVar

import msgspec

from headrace_client.errors import SDKError
from headrace_client.models import Model, Result

T = TypeVar("T")


class Cursor(msgspec.Struct, Generic[T]):
    """A page of a list, newest rows first. `next` and `previous` are cursors of the pages around it, None at an end."""

    page_size: int
    has_more: bool
    data: list[T]
    next: str | None = None
    previous: str | None = None


class _Page(Model):
    """The same as it comes."""

    page_size: int
    has_more: bool
    data: list[Any]
    next: str | None = None
    previous: str | None = None


def cursor_reader(read_rows: Callable[[object], list[T]]) -> Callable[[object], Cursor[T]]:
    """Turns decoded JSON into a page of what `read_rows` makes of its rows. An empty cursor is none."""

    def read(value: object) -> Cursor[T]:
        page = msgspec.convert(value, _Page)
        return Cursor(page.page_size, page.has_more, read_rows(page.data), page.next or None, page.previous or None)

    return read


class Pages(Generic[T]):
    """All rows of a list, to iterate over, or its `pages()`. A page is asked for when it is needed."""

    def __init__(self, ask: Callable[[str | None], Result[Cursor[T]]]) -> None:
        self._ask = ask

    def __iter__(self) -> Iterator[T]:
        for page in self.pages():
            yield from page.data.data

    def pages(self) -> Iterator[Result[Cursor[T]]]:
        cursor: str | None = None
        while True:
            page = self._ask(cursor)
            yield page
            if (cursor := following(page, cursor)) is None:
                return


class AsyncPages(Generic[T]):
    """The same, for `async for`."""

    def __init__(self, ask: Callable[[str | None], Awaitable[Result[Cursor[T]]]]) -> None:
        self._ask = ask

    async def __aiter__(self) -> AsyncIterator[T]:
        async for page in self.pages():
            for row in page.data.data:
                yield row

    async def pages(self) -> AsyncIterator[Result[Cursor[T]]]:
        cursor: str | None = None
        while True:
            page = await self._ask(cursor)
            yield page
            if (cursor := following(page, cursor)) is None:
                return


def following(page: Result[Cursor[Any]], cursor: str | None) -> str | None:
    """Cursor of the next page, None after the last. Raises SDKError where the list would never end, or not go on."""
    if not page.data.has_more:
        return None
    if page.data.next is None or page.data.next == cursor:
        text = "there are more rows, but no cursor leads to them"
        raise SDKError(text, page.status_code, page.headers, page.raw)
    return page.data.next
