"""Use case of the inbox: receive events from a caller, one or a batch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import msgspec

from headrace.errors import RepeatedKey
from headrace.events import identity
from headrace.events.envelope import Envelope
from headrace.events.inbox import Arrival, Receipt, receipts_of
from headrace.events.outbox import is_own
from headrace.journal.port import Unit
from headrace.usecases.idempotency import Answer, Caller, record, record_later, stored_answer
from headrace.usecases.ports import Ports

MAX_NAMED = 20
"""Conflicts that a result names."""


class Conflict(msgspec.Struct, frozen=True):
    """An event with a known identity and another payload. `entry` is its index in the request."""

    entry: int
    key: str


class Acceptance(msgspec.Struct, frozen=True):
    """How many events of a request were accepted and how many conflicted, together all of them.

    `repeated`: accepted ones that had been accepted before. `conflicts` names the first of the conflicting ones.
    """

    accepted: int
    repeated: int
    conflicting: int
    conflicts: tuple[Conflict, ...] = ()


async def receive_events(
    ports: Ports,
    caller: Caller,
    envelopes: Sequence[Envelope],
    *,
    is_batch: bool,
    depth: int = 0,
    publication_id: str = "",
) -> Answer[Acceptance]:
    """Accept events: all of them are durable on return, or none is.

    `depth`: how many triggers led to them, one after the other, as far as their sender says. `publication_id`: the id
    under which a webhook delivers them; where this journal published them itself, its triggers have had them already
    and nothing is stored. An event without an identity of its own is known by the caller's key and its index.
    """
    if stored := await stored_answer(ports.journal, caller, Acceptance):
        await ports.inbox.repeat(_arrivals(ports, caller, envelopes, is_batch, 0))
        return stored
    arrivals = _arrivals(ports, caller, envelopes, is_batch, depth)
    if is_own(await ports.journal.identity(), publication_id):
        return Answer("", _acceptance(arrivals, [Receipt.REPEATED] * len(arrivals)))
    unit = Unit()
    await ports.inbox.add(unit, arrivals)
    now_at = ports.clock.now_at()
    record_later(unit, caller, now_at, arrivals[0].key, lambda results: _acceptance(arrivals, receipts_of(results)))
    unkeyed = replace(caller, key=None)
    for arrival in arrivals[1:]:
        record(unit, unkeyed, now_at, Answer(arrival.key))
    try:
        results = await ports.journal.commit(unit)
    except RepeatedKey:  # a concurrent request under this key was faster
        if stored := await stored_answer(ports.journal, caller, Acceptance):
            await ports.inbox.repeat(_arrivals(ports, caller, envelopes, is_batch, 0))
            return stored
        raise
    ports.inbox.accepted(arrivals, results)
    return Answer(arrivals[0].key, _acceptance(arrivals, receipts_of(results)))


def _arrivals(ports: Ports, caller: Caller, envelopes: Sequence[Envelope], is_batch: bool, depth: int) -> list[Arrival]:
    """Each with the key of an event that has no identity: of the caller's key, else a new one at every request."""
    if caller.key is None:
        return [Arrival.sent(envelope, f"post:{ports.ids.new()}", None, depth) for envelope in envelopes]
    key = caller.key.key
    arrivals: list[Arrival] = []
    for number, envelope in enumerate(envelopes):
        entry = number if is_batch else None
        otherwise = identity.of_request(caller.client_id, caller.principal, key, entry)
        old_key = f"key:{key}" if entry is None else f"key:{key}:{entry}"
        arrivals.append(Arrival.sent(envelope, otherwise, old_key, depth))
    return arrivals


def _acceptance(arrivals: Sequence[Arrival], receipts: Sequence[Receipt]) -> Acceptance:
    conflicts = [number for number, receipt in enumerate(receipts) if receipt is Receipt.CONFLICTING]
    return Acceptance(
        accepted=len(receipts) - len(conflicts),
        repeated=sum(receipt is Receipt.REPEATED for receipt in receipts),
        conflicting=len(conflicts),
        conflicts=tuple(Conflict(number, arrivals[number].key) for number in conflicts[:MAX_NAMED]),
    )
