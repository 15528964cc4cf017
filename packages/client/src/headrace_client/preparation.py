"""Build msgspec's tables for every model during the import of the package, in one thread.

msgspec otherwise builds them at first use. Two threads that share a client and decode the same kind of response for
the first time at the same moment can meet a half-built table: the process crashes (seen with msgspec 0.22.0).
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec


def prepare_models(package: str) -> int:
    """Prepare the models of `package`. Returns how many are ready; a model with a union of models is not decodable."""
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
