"""A developer's stand-in for ledger v2, wallets and payments. Small, correct, and no substitute for the real ones.

It keeps real double-entry books in a database of its own, answers the routes that workflows use as a
real ledger was recorded to answer them, and misbehaves on request (`--fault`). Holds, Numscript beyond
one template, and every other route are not here.
"""

from __future__ import annotations

from headrace.sandbox.faults import Fault, parse_fault
from headrace.sandbox.given import Given, read_given
from headrace.sandbox.releases import Releases
from headrace.sandbox.routes import sandbox_routes
from headrace.sandbox.sandbox import Sandbox

__all__ = ["Fault", "Given", "Releases", "Sandbox", "parse_fault", "read_given", "sandbox_routes"]
