"""How the interpreter runs a server. Measured with `make bench`: a tenth to a sixth less CPU for each instance."""

from __future__ import annotations

import gc


def tune_collector() -> None:
    """Leave what exists at the start out of every collection, and collect more rarely.

    A request leaves many objects and few cycles; the default looks for cycles after every 700 of them.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 50, 100)
