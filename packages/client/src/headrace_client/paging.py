"""A page of a list, and the cursor of the next one."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Generic, TypeVar

import msgspec

from headrace_client.errors import SDKError
from headrace_client.models import Model, Result

T = TypeVar("T")


class Cursor(msgspec.Struct, Generic[T]):
    """A page of a list, newest rows first. `next` and `previous` are cursors of the adjacent pages, None at an end."""

    page_size: int
    has_more: bool
    data: list[T]
    next: str | None = None
    previous: str | None = None


Ask = Callable[[str | None], Result[Cursor[T]]]
"""Requests the page of a cursor; None is the first."""
AsyncAsk = Callable[[str | None], Awaitable[Result[Cursor[T]]]]


class _Page(Model):
    """A page before its rows are decoded."""

    page_size: int
    has_more: bool
    data: list[Any]
    next: str | None = None
    previous: str | None = None


def cursor_reader(read_rows: Callable[[object], list[T]]) -> Callable[[object], Cursor[T]]:
    """Return a decoder to a page whose rows `read_rows` decodes. An empty cursor becomes None."""

    def read(value: object) -> Cursor[T]:
        page = msgspec.convert(value, _Page)
        return Cursor(page.page_size, page.has_more, read_rows(page.data), page.next or None, page.previous or None)

    return read


def following(page: Result[Cursor[Any]], cursor: str | None) -> str | None:
    """Return the cursor of the next page, None after the last. Raises SDKError if the list would not advance."""
    if not page.data.has_more:
        return None
    if page.data.next is None or page.data.next == cursor:
        text = "there are more rows, but no cursor leads to them"
        raise SDKError(text, page.status_code, page.headers, page.raw)
    return page.data.next
