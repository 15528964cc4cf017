"""Recursion without Python's stack: a trampoline of generators.

The grammar allows ten thousand nodes in a row, and data may nest to any depth, while Python stops at a thousand frames,
some of which belong to the caller. A function that walks a tree is therefore a generator: it yields the walk of a child
and receives its result. `walked` keeps the generators on a list.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any, TypeAlias, TypeVar

T = TypeVar("T")

Deep: TypeAlias = Generator[Any, Any, T]
"""A generator that yields walks of its children and returns a `T`."""


def walked(walk: Deep[T]) -> T:
    """Run a walk to its end and return its result. Exceptions of the walk pass through unchanged."""
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
