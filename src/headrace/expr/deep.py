"""Recursion without Python's stack.

The grammar allows ten thousand nodes in a row, and data nests as deep as its sender likes, while Python stops at a
thousand frames, some of which belong to the caller. Whatever walks a tree is written as a generator that yields the
walk of a child and is sent its result; `walked` keeps the generators on a list.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any, TypeAlias, TypeVar

T = TypeVar("T")

Deep: TypeAlias = Generator[Any, Any, T]
"""A walk that yields walks and returns a `T`."""


def walked(walk: Deep[T]) -> T:
    """The result of a walk. What it raises comes out as it is."""
    stack: list[Deep[Any]] = [walk]
    sent: Any = None
    while stack:
        try:
            child: Deep[Any] = stack[-1].send(sent)
        except StopIteration as stop:
            stack.pop()
            sent = stop.value
        else:
            stack.append(child)
            sent = None
    return sent
