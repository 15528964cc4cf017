"""Why a demo ends without showing what it is to show."""

from __future__ import annotations

from headrace.errors import HeadraceError


class DemoFailed(HeadraceError):
    """The server ended, or the books differ from the histories."""


class NotInTime(DemoFailed):
    """No effect came into flight, or instances still run after the demo's time limit."""


class NoExamples(DemoFailed):
    """The folder given holds no examples, or not the example of the trigger."""
