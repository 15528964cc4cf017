"""Iteration over all pages of a list."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Generic, TypeVar

from headrace_client.models import Result
from headrace_client.paging import AsyncAsk, Cursor, following

T = TypeVar("T")


class AsyncPages(Generic[T]):
    """All rows of a list by iteration, or its `pages()`. Each page is requested when it is needed."""

    def __init__(self, ask: AsyncAsk[T]) -> None:
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
