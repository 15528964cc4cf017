"""The engine suites are run for each engine: import `every_engine` into a module of tests.

A test that not every engine can pass says why, by `@pytest.mark.needs(...)` with a capability of `EngineKind`:
`skips_time` or `is_one_process`. It is then not collected for the others.
"""

from __future__ import annotations

from typing import Any

import pytest

from tests.support import in_process
from tests.support.engine_processes import ENGINES, EngineKind
from tests.support.temporal import missing


def engine_named(name: str) -> EngineKind:
    """Raises LookupError for a name without an adapter: it must not pass as if it had been tested."""
    if name not in ENGINES:
        raise LookupError(f"there is no engine {name!r}; there are {', '.join(ENGINES)}")
    return ENGINES[name]


@pytest.fixture(params=ENGINES, autouse=True)
def every_engine(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> EngineKind:
    """`running` opens this one. A machine without its server skips the test loudly."""
    engine = engine_named(request.param)
    if engine.kind.startswith("temporal") and (lacking := missing()):
        pytest.skip(lacking)
    monkeypatch.setattr(in_process, "journal_name", engine.journal)
    monkeypatch.setattr(in_process, "engine_kind", engine.kind)
    return engine


def lacks(item: pytest.Item) -> bool:
    """Whether a test needs what the engine of its parameter does not have."""
    callspec: Any = getattr(item, "callspec", None)
    name = None if callspec is None else callspec.params.get("every_engine")
    needed = [capability for mark in item.iter_markers("needs") for capability in mark.args]
    return bool(name and not all(getattr(engine_named(name), capability) for capability in needed))
