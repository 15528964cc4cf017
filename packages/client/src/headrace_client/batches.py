"""Typed responses about batches."""

from __future__ import annotations

from typing import Any

import msgspec

from headrace_client.models import Approvals, Model, Timestamp


class BatchTotal(Model, kw_only=True):
    """Sums of one asset over the items that are to start, in its smallest unit."""

    sent: int = 0
    external_in: int = 0
    external_out: int = 0
    reverted: int = 0


class Batch(Model, kw_only=True):
    """Many runs, redrives, undos or aborts. `state`: previewing, ready, approved, running, paused, done or canceled.

    `planned`: items that the preview has seen. `included`, `totals` and `excluded` (by code) are its result; a start
    names `hash`. `open_items`: items that are started and not over. `counts`, by state, comes with `get_batch` only.
    `approvals`, with `get_batch` and after a decision: those that a rule asks for, and those that were given. `why`:
    of a pause or a rejection.
    """

    id: str
    kind: str
    state: str
    reason: str
    principal: str
    created_at: Timestamp
    items: int
    planned: int
    rate: int
    max_open: int
    stop_after: int
    open_items: int
    filter: dict[str, Any] | None = None
    hash: str | None = None
    included: int | None = None
    totals: dict[str, BatchTotal] = msgspec.field(default_factory=dict[str, BatchTotal])
    excluded: dict[str, int] = msgspec.field(default_factory=dict[str, int])
    first_failing: dict[str, Any] | None = None
    counts: dict[str, int] = msgspec.field(default_factory=dict[str, int])
    approvals: Approvals | None = None
    why: str | None = None
    started_by: str | None = None
    started_at: Timestamp | None = None
    ended_at: Timestamp | None = None


class BatchItem(Model, kw_only=True):
    """An item of a batch. `state`: pending, started, succeeded, failed, skipped or excluded; `code`: why.

    `instance`: what it continues, undoes or aborts; `result`: the new instance.
    """

    n: int
    state: str
    instance: str | None = None
    code: str | None = None
    message: str | None = None
    result: str | None = None
    hash: str | None = None
    run: dict[str, Any] | None = None
    started_at: Timestamp | None = None
    ended_at: Timestamp | None = None
