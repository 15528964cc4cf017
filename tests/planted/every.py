"""All planted bugs, in the order of caught.md."""

from __future__ import annotations

from tests.planted.approving import APPROVING
from tests.planted.batching import BATCHING
from tests.planted.bugs import BUGS, Bug
from tests.planted.certifying import CERTIFYING
from tests.planted.continuing import CONTINUING
from tests.planted.deciding import DECIDING
from tests.planted.drawing import DRAWING
from tests.planted.naming import NAMING
from tests.planted.pinning import PINNING
from tests.planted.planning import PLANNING
from tests.planted.processes import PROCESSES
from tests.planted.reversing import REVERSING
from tests.planted.searching import SEARCHING
from tests.planted.showing import SHOWING
from tests.planted.waiting import WAITING

EVERY_BUG: tuple[Bug, ...] = (
    *BUGS,
    *PROCESSES,
    *PLANNING,
    *REVERSING,
    *PINNING,
    *CONTINUING,
    *CERTIFYING,
    *APPROVING,
    *BATCHING,
    *WAITING,
    *NAMING,
    *DECIDING,
    *DRAWING,
    *SHOWING,
    *SEARCHING,
)
"""In the order of caught.md."""
