"""What threads and tasks do differently: locks, and calls of the caller's own function.

The async side uses `AsyncLock` and `ask_async`; `make client` puts `Lock` and `ask` in their place.
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
    """What the function gives, awaited where it is async."""
    given = source()
    return checked_given(await given if inspect.isawaitable(given) else given)


def ask(source: Source) -> Token | Security:
    """What the function gives. Raises InvalidRequest for one that is async."""
    given: object = source()
    if inspect.isawaitable(given):
        if inspect.iscoroutine(given):
            given.close()  # it will never be awaited
        raise InvalidRequest("security: an async function needs AsyncClient")
    return checked_given(given)
