"""Writes `docs/reference` from the code: `python -m docs.generator`, which `make docs` runs first.

Each page is a function that returns Markdown. What the code says (the table of operations, the settings, the metrics,
the command line, the builtins, the flows of `send`) is read from it, never repeated here; the answers shown are those of
a server that is started for it. A test compares the pages with what is written here: a stale page fails it.
"""

from __future__ import annotations
