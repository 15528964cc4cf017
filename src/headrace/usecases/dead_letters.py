"""Publish dead letters once more: events that a broker or an endpoint rejected, whose cause a person has removed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, cast

import msgspec

from headrace.buses.port import BusUnavailable, Publication, PublicationRefused
from headrace.errors import InvalidValue, NotFound, Unavailable
from headrace.events.outbox import publication
from headrace.journal.port import Unit
from headrace.journal.records import SetAside
from headrace.journal.writes import DropDeadLetter
from headrace.usecases.idempotency import Answer, Caller, idempotent, record
from headrace.usecases.ports import Ports
from headrace.usecases.reasons import members_of

MAX_AT_ONCE = 100
"""Dead letters of one request; each may take as long as its endpoint lets it."""
PATIENCE_S = 20.0
"""After it a request publishes no other dead letter: it responds before its caller gives up."""


class Refusal(msgspec.Struct, frozen=True):
    """A dead letter that was rejected again, and stays one."""

    event_id: str
    reason: str


class Replay(msgspec.Struct, frozen=True):
    """Dead letters of one publisher that were published once more.

    `delivered`: ids of the events that it took; they are dead letters no more. `left`: how many of those asked for were
    not tried, because the publisher cannot be reached (`unreachable` says why) or the request took too long.
    """

    publisher: str
    delivered: tuple[str, ...]
    refused: tuple[Refusal, ...]
    left: int = 0
    unreachable: str | None = None


class Wanted(msgspec.Struct, frozen=True):
    """A request: these events of a publisher; None: the first of all that it rejected."""

    publisher: str
    event_ids: tuple[str, ...] | None


def parse_wanted(value: object) -> Wanted:
    """The body of a request to replay. Raises InvalidValue, which names the member."""
    members = members_of(value, "publisher", "ids")
    name = members.get("publisher")
    if not isinstance(name, str) or not name:
        raise InvalidValue("publisher", "must be the name of a publisher, as the list of dead letters gives it")
    if (ids := members.get("ids")) is None:
        return Wanted(name, None)
    given = cast("list[Any]", ids) if isinstance(ids, list) else []
    if not 1 <= len(given) <= MAX_AT_ONCE:
        raise InvalidValue("ids", f"must be a list of 1 to {MAX_AT_ONCE} ids of events")
    for number, each in enumerate(given):
        if not isinstance(each, str) or not each:
            raise InvalidValue(f"ids[{number}]", "must be the id of an event")
    if len(set(given)) < len(given):
        raise InvalidValue("ids", "an id is there twice")
    return Wanted(name, tuple(given))


@idempotent(Replay)
async def replay_dead_letters(ports: Ports, caller: Caller | None, body: object) -> Answer[Replay]:
    """Publish dead letters of one publisher again, in order, under the ids that the events have always had.

    Each that is taken is removed in a commit of its own, with its audit entry: what was delivered stays delivered if
    this process ends. One that is rejected stays, and the next one is tried. Raises InvalidValue, NotFound, and
    Unavailable where the journal cannot be reached before the first is published.
    """
    wanted = parse_wanted(body)
    publisher = next((each for each in ports.publishers if each.name == wanted.publisher), None)
    if publisher is None:
        raise NotFound("publisher", wanted.publisher[:100])
    letters = await _letters(ports, wanted)
    origin = await ports.journal.identity()
    by_itself = None if caller is None else replace(caller, key=None)
    give_up_s = ports.clock.monotonic_s() + PATIENCE_S
    delivered: list[str] = []
    refused: list[Refusal] = []
    unreachable: str | None = None
    for letter in letters:
        if ports.clock.monotonic_s() >= give_up_s:
            break
        try:
            await publisher.publish([await _publication(ports, origin, letter)])
            unit = Unit()
            unit.add(DropDeadLetter(publisher=letter.publisher, event_id=letter.event_id))
            record(unit, by_itself, ports.clock.now_at(), Answer(letter.event_id))
            await ports.journal.commit(unit)
        except PublicationRefused as refusal:
            refused.append(Refusal(letter.event_id, str(refusal)))
        except (BusUnavailable, Unavailable) as error:
            unreachable = str(error)
            break
        else:
            delivered.append(letter.event_id)
    left = len(letters) - len(delivered) - len(refused)
    replay = Replay(wanted.publisher, tuple(delivered), tuple(refused), left, unreachable)
    answer = Answer(wanted.publisher, replay)
    unit = Unit()
    record(unit, caller, ports.clock.now_at(), answer)
    if unit:
        await ports.journal.commit(unit)
    return answer


async def _letters(ports: Ports, wanted: Wanted) -> Sequence[SetAside]:
    if wanted.event_ids is None:
        return await ports.journal.dead_letters_of(wanted.publisher, MAX_AT_ONCE)
    found: list[SetAside] = []
    for event_id in wanted.event_ids:
        letters = await ports.journal.dead_letters_of(wanted.publisher, 1, event_id)
        if not letters:
            raise NotFound("dead letter", event_id[:100])
        found += letters
    return found


async def _publication(ports: Ports, origin: str, letter: SetAside) -> Publication:
    """As it was sent. The outbox still knows the depth of an event that every other publisher has not taken yet."""
    journal, _, number = letter.event_id.rpartition(":")
    if journal == origin:
        for event in await ports.journal.outbox(int(number) - 1, 1):
            if event.seq == int(number):
                return publication(origin, event)
    return Publication(letter.event_id, letter.type, 0, letter.body.encode())
