"""Operations on events: send them (decision W7), list the inbox, list dead-lettered events and replay them."""

from __future__ import annotations

from collections.abc import AsyncIterator

from msgspec import UNSET

from headrace import json_text
from headrace.api.context import Context
from headrace.api.ext import schemas
from headrace.api.ext.event_bodies import MAX_POINTER_CHARACTERS, events_of
from headrace.api.idempotency import answer_response, caller_of, key_of
from headrace.api.operations import READ, WRITE, Operation, Parameter
from headrace.api.requests import Request, json_value
from headrace.api.responses import Response, json_response, list_response
from headrace.buses.port import DEPTH_HEADER, EVENT_HEADER
from headrace.clock import date_time
from headrace.events import cloudevents, identity
from headrace.events.envelope import MAX_NAME_CHARACTERS
from headrace.events.outbox import depth_of
from headrace.journal.records import InboxEvent
from headrace.usecases import dead_letters
from headrace.usecases.events import Acceptance, receive_events

TAG = "Events"
MAX_LISTED = 1_000
MAX_DEAD_LETTERS = 100


async def receive(context: Context, request: Request) -> Response:
    """Responds after the commit. A repeat and a conflict get the same status: each is counted, and starts nothing."""
    body = await request.body(context.settings.max_body_bytes)
    has_key = key_of(request) is not None
    envelopes, is_batch = events_of(request, body)
    # A key stands for the events, however their JSON is spelt.
    meaning = [is_batch, *(identity.fingerprint(each.given).hex() for each in envelopes)] if has_key else None
    answer = await receive_events(
        context.ports,
        caller_of(request, body, meaning),
        envelopes,
        is_batch=is_batch,
        depth=depth_of(request.header(DEPTH_HEADER)),
        publication_id=request.header(EVENT_HEADER),
    )
    return answer_response(answer, 202, _accepted)


def _accepted(acceptance: Acceptance) -> bytes:
    data = schemas.Accepted(
        accepted=acceptance.accepted, repeated=acceptance.repeated, conflicting=acceptance.conflicting
    )
    if acceptance.conflicts:
        data.conflicts = [schemas.Conflict(entry=each.entry, key=each.key) for each in acceptance.conflicts]
    return json_text.encode(schemas.AcceptedResponse(data=data))


async def show_all(context: Context, request: Request) -> Response:
    repeated, conflicting = request.flag("repeated"), request.flag("conflicting")
    return await list_response(_latest(context.ports.journal.events(repeated=repeated, conflicting=conflicting)))


async def _latest(pages: AsyncIterator[list[InboxEvent]]) -> AsyncIterator[bytes]:
    """The first `MAX_LISTED` rows as JSON arrays."""
    left = MAX_LISTED
    async for rows in pages:
        events = [
            schemas.Received(
                key=row.key,
                type=row.type,
                received_at=date_time(row.received_at),
                processed_at=UNSET if row.processed_at is None else date_time(row.processed_at),
                repeats=row.repeats,
                last_repeat_at=UNSET if row.last_repeat_at is None else date_time(row.last_repeat_at),
                conflicts_with=UNSET if row.conflicts_with is None else identity.conflicting(row.key),
            )
            for row in rows[:left]
        ]
        yield json_text.encode(events)
        left -= len(rows)
        if left <= 0:
            return


async def show_dead_letters(context: Context, request: Request) -> Response:
    """List the latest dead-lettered events, newest first."""
    letters = [
        schemas.DeadLetter(
            id=row.event_id,
            publisher=row.publisher,
            reason=row.reason,
            set_aside_at=date_time(row.at),
            event=json_text.decode(row.body.encode()),
        )
        for row in await context.ports.journal.set_aside(MAX_DEAD_LETTERS)
    ]
    return json_response(200, json_text.encode(schemas.DeadLetterListResponse(data=letters)))


async def replay(context: Context, request: Request) -> Response:
    body = await request.body(context.settings.max_body_bytes)
    wanted = json_value(request, body) if body else None
    caller = caller_of(request, body, wanted)
    answer = await dead_letters.replay_dead_letters(context.ports, caller, wanted)
    return answer_response(answer, 200, _replayed)


def _replayed(done: dead_letters.Replay) -> bytes:
    data = schemas.Replay(
        publisher=done.publisher,
        delivered=list(done.delivered),
        refused=[schemas.RefusedDeadLetter(id=each.event_id, reason=each.reason) for each in done.refused],
        left=done.left,
        unreachable=UNSET if done.unreachable is None else done.unreachable,
    )
    return json_text.encode(schemas.ReplayResponse(data=data))


_NAME = {"type": "string", "maxLength": MAX_NAME_CHARACTERS}

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
            "One envelope or several; or CloudEvents 1.0, structured, as a batch, or binary (`ce-*` headers). The "
            "identity of an event is its app, type, version and `idempotency_key` or `id` (of a CloudEvent: `source` "
            "and `id`), else the caller's Idempotency-Key and the index in the batch; an event with neither is new "
            "every time. A known identity with an equal payload is a repeat; with another payload it is a conflict, "
            "which is recorded for the triggers that it matches and starts nothing. All events are on disk before the "
            "response.\n\n"
            "With the parameter `type` the body is the payload of an event, as a provider's webhook sends it."
        ),
        status=202,
        response=schemas.AcceptedResponse,
        body=schemas.Envelopes,
        body_media_types=("application/json", cloudevents.STRUCTURED, cloudevents.BATCH),
        query=(
            Parameter("app", "Of a raw body: the app of the event.", _NAME),
            Parameter(
                "type",
                "Of a raw body: the type of the event, or a JSON pointer to it in the body, such as /type.",
                _NAME,
            ),
            Parameter("version", "Of a raw body: the version of the event.", _NAME),
            Parameter(
                "id",
                "Of a raw body: a JSON pointer to the provider's id of the event, such as /id. Without it, send an "
                "Idempotency-Key: a delivery with neither is a new event every time.",
                {"type": "string", "maxLength": MAX_POINTER_CHARACTERS},
            ),
        ),
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
        description=f"The latest {MAX_LISTED} events of the inbox, newest first, with their repeats.",
        response=schemas.ReceivedListResponse,
        query=(
            Parameter("repeated", "true: only events that were received more than once.", {"type": "boolean"}),
            Parameter("conflicting", "true: only events in conflict with an earlier one.", {"type": "boolean"}),
        ),
        errors=(400, 503),
    ),
    Operation(
        method="GET",
        path="/ext/events/set-aside",
        operation_id="listEventsSetAside",
        scope=READ,
        handler=show_dead_letters,
        tag=TAG,
        summary="List dead-lettered events",
        description=(
            "Published events that a broker or a webhook endpoint rejected repeatedly while it accepted others: the "
            f"latest {MAX_DEAD_LETTERS}, newest first. They are sent again when a person asks for it."
        ),
        response=schemas.DeadLetterListResponse,
        errors=(503,),
    ),
    Operation(
        method="POST",
        path="/ext/events/set-aside/replay",
        operation_id="replayDeadLetters",
        scope=WRITE,
        handler=replay,
        tag=TAG,
        summary="Publish dead-lettered events again",
        description=(
            "Once the cause is removed: publishes dead letters of one publisher, in the order of their events, under "
            f"the ids that they have always had, at most {dead_letters.MAX_AT_ONCE} in one request. An event that is "
            "accepted is a dead letter no more; one that is rejected again stays, with the reason in the response. "
            "404 where this server has no such publisher, or where an event is not one of its dead letters."
        ),
        response=schemas.ReplayResponse,
        body=schemas.DeadLettersToReplay,
        example={"publisher": "webhook:shop:0f8fad5bd9cb469f"},
        takes_key=True,
        errors=(400, 404, 413, 415, 503),
    ),
)
