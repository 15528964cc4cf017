"""Events over HTTP (decision W7), and what an operator sees of the inbox."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any, cast

from msgspec import UNSET

from headrace.api import codec
from headrace.api.ext import schemas
from headrace.api.operations import READ, WRITE, Operation, Parameter
from headrace.api.repeats import caller_of, stored_answer
from headrace.api.replies import Reply, json_reply, list_reply
from headrace.api.requests import Request, json_value
from headrace.api.services import Services
from headrace.clock import date_time
from headrace.errors import InvalidValue, RepeatedKey
from headrace.events.bus import DEPTH_HEADER, EVENT_HEADER
from headrace.events.envelope import Envelope, envelope_of
from headrace.events.inbox import Arrival
from headrace.events.outbox import depth_of, is_own
from headrace.journal.port import Caller
from headrace.journal.records import InboxEvent, SetAside

TAG = "Events"
MAX_EVENTS = 10_000
MAX_LISTED = 1_000
MAX_SET_ASIDE = 100


async def receive(services: Services, request: Request) -> Reply:
    """Answered after the commit. A repeat is accepted as well: it is counted, and starts nothing."""
    body = await request.body(services.settings.max_body_bytes)
    value = json_value(request, body) if body else None
    caller = caller_of(request, body, value)
    if stored := await stored_answer(services.journal, caller):
        return await _repeated(services, value, caller, stored)
    arrivals = _arrivals(services, value, caller, _depth(request))
    answer = codec.encode(schemas.AcceptedReply(data=schemas.Accepted(accepted=len(arrivals))))
    if is_own(await services.journal.identity(), request.header(EVENT_HEADER)):
        return json_reply(202, answer)  # our own, back by a webhook: triggers have had it already
    try:
        await services.inbox.accept(arrivals, caller=caller, answer=answer)
    except RepeatedKey:
        if stored := await stored_answer(services.journal, caller):
            return await _repeated(services, value, caller, stored)
        raise
    return json_reply(202, answer)


async def _repeated(services: Services, value: Any, caller: Caller, stored: Reply) -> Reply:
    arrivals = _arrivals(services, value, caller, 0)
    await services.inbox.repeat([arrival.key for arrival in arrivals])
    return stored


def _depth(request: Request) -> int:
    return depth_of(request.header(DEPTH_HEADER))


def _arrivals(services: Services, value: Any, caller: Caller, depth: int) -> list[Arrival]:
    if not isinstance(value, list):
        envelope = envelope_of(value)
        return [Arrival.of(_key(services, envelope, caller, ""), envelope, depth)]
    items = cast("list[Any]", value)
    if not 0 < len(items) <= MAX_EVENTS:
        raise InvalidValue("body", f"has 1 to {MAX_EVENTS} envelopes, not {len(items)}")
    envelopes = [envelope_of(item, f"body[{number}]") for number, item in enumerate(items)]
    return [
        Arrival.of(_key(services, envelope, caller, f":{number}"), envelope, depth)
        for number, envelope in enumerate(envelopes)
    ]


def _key(services: Services, envelope: Envelope, caller: Caller, position: str) -> str:
    """The envelope's own id, else the caller's key, else every event is a new one."""
    if envelope.id is not None:
        return f"id:{envelope.id}"
    if caller.key is not None:
        return f"key:{caller.key.key}{position}"
    return f"post:{services.ids.new()}"


async def show_all(services: Services, request: Request) -> Reply:
    return await list_reply(_pages(services.journal.events(repeated=request.flag("repeated"))))


async def _pages(pages: AsyncIterator[list[InboxEvent]]) -> AsyncIterator[bytes]:
    left = MAX_LISTED
    async for rows in pages:
        yield codec.encode([_received(row) for row in rows[:left]])
        left -= len(rows)
        if left <= 0:
            return


def _received(row: InboxEvent) -> schemas.Received:
    return schemas.Received(
        key=row.key,
        type=row.type,
        received_at=date_time(row.received_at),
        processed_at=UNSET if row.processed_at is None else date_time(row.processed_at),
        repeats=row.repeats,
        last_repeat_at=UNSET if row.last_repeat_at is None else date_time(row.last_repeat_at),
    )


async def show_set_aside(services: Services, request: Request) -> Reply:
    rows = await services.journal.set_aside(MAX_SET_ASIDE)
    return json_reply(200, codec.encode(schemas.SetAsideListReply(data=[_set_aside(row) for row in rows])))


def _set_aside(row: SetAside) -> schemas.SetAside:
    return schemas.SetAside(
        id=row.event_id,
        publisher=row.publisher,
        reason=row.reason,
        set_aside_at=date_time(row.at),
        event=codec.decode(row.body.encode()),
    )


OPERATIONS = (
    Operation(
        method="POST",
        path="/ext/events",
        operation_id="sendEvents",
        scope=WRITE,
        handler=receive,
        tag=TAG,
        summary="Send events",
        description=(
            "One envelope or several. An event is known by its `id`, else by the Idempotency-Key (and its position); "
            "one that is neither is new every time. They are on disk when this is answered."
        ),
        status=202,
        reply=schemas.AcceptedReply,
        body=schemas.Envelopes,
        example={
            "id": "pay-in-1",
            "date": "2024-05-01T10:00:00Z",
            "app": "payments",
            "version": "v2.0.0",
            "type": "SAVED_PAYMENT",
            "payload": {"id": "p1", "type": "PAY-IN", "status": "SUCCEEDED", "amount": 4199, "asset": "USD/2"},
        },
        takes_key=True,
        errors=(400, 413, 415, 503),
    ),
    Operation(
        method="GET",
        path="/ext/events",
        operation_id="listEvents",
        scope=READ,
        handler=show_all,
        tag=TAG,
        summary="List received events",
        description=f"The latest {MAX_LISTED} that were taken into the inbox, newest first, with their repeats.",
        reply=schemas.ReceivedListReply,
        query=(Parameter("repeated", "true: only those that came more than once.", {"type": "boolean"}),),
        errors=(400, 503),
    ),
    Operation(
        method="GET",
        path="/ext/events/set-aside",
        operation_id="listEventsSetAside",
        scope=READ,
        handler=show_set_aside,
        tag=TAG,
        summary="List events that were set aside",
        description=(
            "Events of ours that a broker or a webhook endpoint refused again and again while it took others: the "
            f"latest {MAX_SET_ASIDE}, newest first. They are not sent again."
        ),
        reply=schemas.SetAsideListReply,
        errors=(503,),
    ),
)
