"""Makes msgspec's tables for every model while the package is imported, in one thread.

It makes them at first use otherwise, and two threads that share a client and decode the same kind of reply for the
first time at the same moment can meet a half-made table: the process dies (seen with msgspec 0.22.0).
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec


def prepare_models(package: str) -> int:
    """How many models of `package` are ready now. One that holds a union of models is never decoded as a whole."""
    models = [model for model in _below(msgspec.Struct) if model.__module__.startswith(package)]
    return sum(_is_prepared(model) for model in models)


def _is_prepared(model: type) -> bool:
    try:
        msgspec.json.Decoder(model)
    except TypeError:
        return False
    return True


def _below(model: type) -> Iterator[type]:
    kinds: list[type] = model.__subclasses__()
    for kind in kinds:
        yield kind
        yield from _below(kind)
