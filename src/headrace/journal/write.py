"""The base of the records that a unit holds, and of what they return."""

from __future__ import annotations

from typing import ClassVar

import msgspec


class Result(msgspec.Struct, frozen=True):
    """The result of a write. A write that found nothing to do returns none."""


ResultType = type[Result] | None
"""Has a name of its own since a record may have a field that is called `type`."""


class Write(msgspec.Struct, frozen=True, kw_only=True):
    """One change to the journal. Times are microseconds since the epoch; JSON is text."""

    result: ClassVar[ResultType] = None
