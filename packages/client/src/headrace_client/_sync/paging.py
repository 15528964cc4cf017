# Generated from _async/paging.py by `make client`: change that file.
"""Iteration over all pages of a list."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Generic, TypeVar

from headrace_client.models import Result
from headrace_client.paging import Ask, Cursor, following

T = TypeVar("T")


class Pages(Generic[T]):
    """All rows of a list by iteration, or its `pages()`. Each page is requested when it is needed."""

    def __init__(self, ask: Ask[T]) -> None:
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
