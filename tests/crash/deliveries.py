"""Events delivered many times over, out of order, to a server that is killed again and again (INV-9, INV-11).

    python -m tests.crash.deliveries --bus nats --events 10000 --rounds 10

Each round the server has another name at the broker, so everything that was ever published is delivered to it anew;
half of the events have a key of their own, and some of those are published again;
beside it a second reader takes deliveries from the same consumer and gives them back late, which mixes their order.
In the end there must be one occurrence, one instance and one transaction for each event, of the right amount.

Exit 0: nothing violated; 1: violated; 2: inconclusive. It prints a JSON line with what it counted.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

from tests.crash import books
from tests.crash.books import Inconclusive, Violated
from tests.support.server import Server

API = "/api/orchestration"
TOPIC = "soak-payments"
STAGES: list[dict[str, Any]] = [
    {
        "send": {
            "source": {"account": {"id": "world", "ledger": "shop"}},
            "destination": {"account": {"id": "users:${user}", "ledger": "shop"}},
            "amount": {"amount": "${amount}", "asset": "USD/2"},
        }
    }
]
RULE: dict[str, Any] = {
    "event": "payments.saved_payment",
    "version": "v2",
    "filter": 'event.type == "PAY-IN" && event.amount > 0',
    "vars": {"user": "event.id", "amount": "event.amount"},
}
PATIENCE_S = 600.0


class Target(Protocol):
    """The server, or the servers of one journal, to which the events are delivered."""

    @property
    def stack(self) -> Server:
        """The `headrace dev` that brings the services."""
        ...

    def api_url(self) -> str: ...

    def get(self, path: str) -> Any: ...

    def post(self, path: str, body: Any) -> Any: ...

    def log(self) -> str: ...

    def begin(self, group: str) -> None:
        """Start every server anew, under this name at the broker."""
        ...

    def kill(self) -> None:
        """SIGKILL to a server."""
        ...

    def start_again(self) -> None:
        """Start the one that was killed."""
        ...

    def suppressed(self) -> int:
        """Repeats, as the inbox counts them. Read from the database: the API shows the newest events only."""
        ...


class OneServer(Server):
    """`headrace dev`, which brings the services itself."""

    @property
    def stack(self) -> Server:
        return self

    def api_url(self) -> str:
        return self.url

    def begin(self, group: str) -> None:
        self.settings["HEADRACE_BROKER_GROUP"] = group
        self.restart()

    def start_again(self) -> None:
        self.restart()

    def suppressed(self) -> int:
        with sqlite3.connect(self.data / "journal.db") as connection:
            return connection.execute("SELECT sum(repeats) FROM inbox").fetchone()[0]


class Broker(Protocol):
    """A real broker, and what only this test asks of it."""

    settings: dict[str, str]
    """HEADRACE_* of a server that reads from it."""

    async def publish(self, bodies: Sequence[bytes]) -> None: ...

    async def unacknowledged(self, group: str) -> int:
        """Deliveries of this group that are still to come, or not acknowledged yet."""
        ...

    async def delivered(self, group: str) -> int:
        """How many deliveries this group has had, repeats and all."""
        ...

    async def disturb(self, group: str, chance: random.Random) -> None:
        """Take some deliveries and give them back late."""
        ...

    async def close(self) -> None: ...


@dataclass
class Count:
    bus: str
    events: int
    rounds: int
    seed: int
    published_again: int = 0
    deliveries: int = 0
    kills: int = 0
    kills_with_unacknowledged: int = 0
    suppressed: int = 0
    occurrences: int = 0
    instances: int = 0
    transactions: int = 0
    took_s: float = 0.0


def events_of(count: int, chance: random.Random) -> list[bytes]:
    """In no order; one amount in a hundred is beyond 64 bits."""
    numbers = list(range(count))
    chance.shuffle(numbers)
    return [json.dumps(_event(number)).encode() for number in numbers]


def amount_of(number: int) -> int:
    return number + 1 if number % 100 else 10**30 + number


def _event(number: int) -> dict[str, Any]:
    payload = {"id": f"p{number}", "type": "PAY-IN", "amount": amount_of(number), "asset": "USD/2"}
    named = {"idempotency_key": f"k{number}"} if number % 2 else {}
    return {
        **named, "date": "2024-05-01T10:00:00Z", "app": "payments", "version": "v2.0.0", "type": "SAVED_PAYMENT",
        "payload": payload,
    }  # fmt: skip


def published_again(events: list[bytes], chance: random.Random) -> list[bytes]:
    """Some of those with a key of their own, each at a new place of the broker's and written in another way."""
    named = [json.loads(event) for event in events if b"idempotency_key" in event]
    chosen = chance.sample(named, max(1, len(named) // 10))
    return [json.dumps(dict(reversed(event.items())), indent=1).encode() for event in chosen]


async def deliver(opened: AbstractContextManager[Target], broker: Broker, count: Count, kills_a_round: int) -> None:
    """The whole of it; raises Violated or Inconclusive."""
    chance = random.Random(count.seed)
    started = time.monotonic()
    with opened as server:
        server.stack.post("/api/ledger/v2/shop", {})
        workflow_id = server.post(f"{API}/workflows", {"stages": STAGES}).json["data"]["id"]
        trigger_id = server.post(f"{API}/triggers", {**RULE, "workflowID": workflow_id}).json["data"]["id"]
        events = events_of(count.events, chance)
        half = count.events // 2
        await broker.publish(events[:half])
        fresh = [events[half:][number::kills_a_round] for number in range(kills_a_round)]
        await _round(server, broker, count, "round0", chance, fresh)
        for number in range(1, count.rounds):
            again = [published_again(events, chance) for _ in range(kills_a_round)]
            count.published_again += sum(len(bodies) for bodies in again)
            await _round(server, broker, count, f"round{number}", chance, again)
        occurrences = await asyncio.to_thread(_settled, server, trigger_id, count.events)
        _check(server, occurrences, count)
    count.took_s = round(time.monotonic() - started, 1)


async def _round(
    server: Target, broker: Broker, count: Count, group: str, chance: random.Random, fresh: Sequence[list[bytes]]
) -> None:
    """One kill for each of `fresh`: events that are published just before it."""
    await asyncio.to_thread(server.begin, group)
    disturbing = asyncio.create_task(_disturb(broker, group, chance))
    try:
        for bodies in fresh:
            await asyncio.sleep(chance.uniform(0.1, 1.5))
            await broker.publish(bodies)
            await asyncio.to_thread(server.kill)
            count.kills += 1
            count.kills_with_unacknowledged += await broker.unacknowledged(group) > 0
            await asyncio.to_thread(server.start_again)
        deadline_s = time.monotonic() + PATIENCE_S
        while await broker.unacknowledged(group):
            if time.monotonic() > deadline_s:
                raise Inconclusive(f"{group}: deliveries are left after {PATIENCE_S} s:\n{server.log()[-4_000:]}")
            await asyncio.sleep(0.1)
    finally:
        disturbing.cancel()
        await asyncio.gather(disturbing, return_exceptions=True)
    count.deliveries += await broker.delivered(group)


async def _disturb(broker: Broker, group: str, chance: random.Random) -> None:
    while True:
        await broker.disturb(group, chance)
        await asyncio.sleep(0.2)


def _settled(server: Target, trigger_id: str, count: int) -> list[Any]:
    """The occurrences, once there are as many as there should be at least and all their instances have ended."""
    deadline_s = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline_s:
        rows = server.get(f"{API}/triggers/{trigger_id}/occurrences").json["data"]
        if len(rows) >= count and all(row.get("workflowInstance", {}).get("terminated") for row in rows):
            return rows
        time.sleep(0.5)
    raise Inconclusive(f"the occurrences did not end:\n{server.log()[-4_000:]}")


def _check(server: Target, occurrences: list[Any], count: Count) -> None:
    instances = server.get(f"{API}/instances").json["data"]
    verdict = books.check(server.api_url(), server.stack.url)
    count.occurrences, count.instances, count.transactions = len(occurrences), len(instances), verdict.transactions
    count.suppressed = server.suppressed()
    verdict.raise_if_bad()
    found = (count.occurrences, count.instances, count.transactions)
    if found != (count.events,) * 3 or verdict.failed:
        raise Violated(f"occurrences, instances, transactions: {found} for {count.events} events; {verdict.shown()}")
    told = {row["event"]["id"]: row["event"]["amount"] for row in occurrences}
    if told != {f"p{number}": amount_of(number) for number in range(count.events)}:
        raise Violated("the occurrences are not those of the events")
    world = server.stack.get("/api/ledger/v2/shop/accounts/world?expand=volumes").json["data"]["volumes"]["USD/2"][
        "output"
    ]
    if world != sum(amount_of(number) for number in range(count.events)):
        raise Violated(f"world has paid {world}")
    if count.deliveries < count.events * count.rounds or not count.kills_with_unacknowledged:
        raise Inconclusive(f"hardly anything was repeated or killed in time: {asdict(count)}")


# NATS


class NatsBroker:
    def __init__(self, url: str) -> None:
        self._url = url
        self.settings = {
            "HEADRACE_BROKER_URL": url,
            "HEADRACE_STACK_NAME": "soak",
            "HEADRACE_EVENT_TOPICS": TOPIC,
            "HEADRACE_BROKER_ACK_WAIT_S": "2",
        }
        self._client: Any = None

    async def _stream(self) -> Any:
        import nats

        if self._client is None:
            self._client = await nats.connect(self._url)
        return self._client.jetstream()

    async def publish(self, bodies: Sequence[bytes]) -> None:
        """The server has made the stream."""
        stream = await self._stream()
        for start in range(0, len(bodies), 256):
            batch = [await stream.publish_async(TOPIC, body) for body in bodies[start : start + 256]]
            await asyncio.gather(*batch)

    async def _info(self, group: str) -> Any:
        from nats.js.errors import NotFoundError

        try:
            return await (await self._stream()).consumer_info(TOPIC, f"{group}-{TOPIC}")
        except NotFoundError:
            return None

    async def unacknowledged(self, group: str) -> int:
        info = await self._info(group)
        return 1 if info is None else info.num_pending + info.num_ack_pending

    async def delivered(self, group: str) -> int:
        return (await self._info(group)).delivered.consumer_seq

    async def disturb(self, group: str, chance: random.Random) -> None:
        if await self._info(group) is None:
            return
        puller = await (await self._stream()).pull_subscribe_bind(f"{group}-{TOPIC}", stream=TOPIC)
        try:
            for message in await puller.fetch(50, timeout=0.2):
                await message.nak(delay=chance.uniform(0.05, 1.0))
        except TimeoutError:
            pass
        finally:
            await puller.unsubscribe()

    async def close(self) -> None:
        if self._client is not None:
            await self._client.close()


# Kafka


class KafkaTopic:
    """Eight partitions, which mix the order by themselves; a second consumer joins now and then and takes some over."""

    def __init__(self, url: str) -> None:
        from confluent_kafka import Consumer, Producer
        from confluent_kafka.admin import AdminClient
        from confluent_kafka.cimpl import NewTopic

        self._servers: dict[str, Any] = {"bootstrap.servers": url.removeprefix("kafka://")}
        self.settings = {
            "HEADRACE_BROKER_URL": url,
            "HEADRACE_STACK_NAME": "soak",
            "HEADRACE_EVENT_TOPICS": TOPIC,
        }
        self._consumer_type, self._producer_type = Consumer, Producer
        self._admin: Any = AdminClient(self._servers)
        for future in self._admin.create_topics([NewTopic(TOPIC, 8, 1)]).values():
            future.result()

    async def publish(self, bodies: Sequence[bytes]) -> None:
        def work() -> None:
            producer: Any = self._producer_type({**self._servers, "acks": "all", "enable.idempotence": True})
            for body in bodies:
                producer.produce(TOPIC, body, key=str(hash(body)))
                producer.poll(0)
            assert producer.flush(60) == 0

        await asyncio.to_thread(work)

    async def unacknowledged(self, group: str) -> int:
        return await asyncio.to_thread(self._behind, group)

    def _behind(self, group: str) -> int:
        from confluent_kafka import ConsumerGroupTopicPartitions, TopicPartition

        places = [TopicPartition(TOPIC, number) for number in range(8)]
        committed: Any = self._admin.list_consumer_group_offsets([ConsumerGroupTopicPartitions(group, places)])
        return self._end() - sum(max(0, place.offset) for place in committed[group].result().topic_partitions)

    def _end(self) -> int:
        from confluent_kafka import TopicPartition, admin

        latest: Any = vars(admin)["OffsetSpec"].latest()
        ends: Any = self._admin.list_offsets({TopicPartition(TOPIC, number): latest for number in range(8)})
        return sum(future.result().offset for future in ends.values())

    async def delivered(self, group: str) -> int:
        """At least: the broker does not count repeats."""
        return await asyncio.to_thread(self._end)

    async def disturb(self, group: str, chance: random.Random) -> None:
        await asyncio.sleep(chance.uniform(2.0, 6.0))
        await asyncio.to_thread(self._join_for_a_moment, group)

    def _join_for_a_moment(self, group: str) -> None:
        settings = {"group.id": group, "enable.auto.commit": False, "auto.offset.reset": "earliest"}
        consumer: Any = self._consumer_type({**self._servers, **settings, "session.timeout.ms": 6_000})
        consumer.subscribe([TOPIC])
        consumer.consume(50, 1.0)
        consumer.close()

    async def close(self) -> None: ...


def started(bus: str, folder: Path) -> AbstractContextManager[Any]:
    """A real server of this kind; its `url` is what HEADRACE_BROKER_URL wants."""
    from tests.support.kafka import KafkaBroker
    from tests.support.nats import NatsServer

    return {"nats": NatsServer, "kafka": KafkaBroker}[bus](folder)


def broker_at(bus: str, url: str) -> Broker:
    return NatsBroker(url) if bus == "nats" else KafkaTopic(url)


async def run(folder: Path, bus: str, count: Count, kills_a_round: int) -> None:
    with started(bus, folder / "broker") as server:
        broker = broker_at(bus, server.url)
        try:
            settings = {**broker.settings, "HEADRACE_SETTLE_S": "0.5"}
            await deliver(OneServer(folder / "data", settings=settings), broker, count, kills_a_round)
        finally:
            await broker.close()


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.crash.deliveries", description=__doc__)
    parser.add_argument("--bus", default="nats")
    parser.add_argument("--events", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--kills", type=int, default=4, help="in each round")
    parser.add_argument("--seed", type=int, default=1)
    chosen = parser.parse_args()
    count, word, why = Count(chosen.bus, chosen.events, chosen.rounds, chosen.seed), "clean", ""
    with tempfile.TemporaryDirectory(prefix="deliveries-") as folder:
        try:
            asyncio.run(run(Path(folder), chosen.bus, count, chosen.kills))
        except Inconclusive as error:
            word, why = "inconclusive", str(error)
        except Exception as error:
            word, why = "violated", f"{type(error).__name__}: {error}"
    described = subprocess.run(
        ["git", "describe", "--always", "--dirty"],
        cwd=Path(__file__).parent,
        capture_output=True,
        text=True,
        check=False,
    )
    print(json.dumps({"result": word, **asdict(count), "commit": described.stdout.strip(), "why": why}), flush=True)
    return {"clean": 0, "violated": 1, "inconclusive": 2}[word]


if __name__ == "__main__":
    sys.exit(main())
