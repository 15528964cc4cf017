"""The difference between threads and tasks: locks, and calls of the caller's own function.

The async side uses `AsyncLock` and `ask_async`; `make client` replaces them by `Lock` and `ask`.
"""

from __future__ import annotations

import asyncio
import inspect
import threading

from headrace_client.credentials import Security, Source, Token, checked_given
from headrace_client.errors import InvalidRequest

AsyncLock = asyncio.Lock
Lock = threading.Lock


async def ask_async(source: Source) -> Token | Security:
    """Call the function, and await its result if it is async."""
    given = source()
    return checked_given(await given if inspect.isawaitable(given) else given)


def ask(source: Source) -> Token | Security:
    """Call the function. Raises InvalidRequest for an async one."""
    given: object = source()
    if inspect.isawaitable(given):
        if inspect.iscoroutine(given):
            given.close()  # it will never be awaited
        raise InvalidRequest("security: an async function needs AsyncClient")
    return checked_given(given)
