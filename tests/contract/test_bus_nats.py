"""What is NATS's own among the buses: how it is told to go on, and what it must never be trusted with."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import nats
import pytest
import structlog
from nats.js.api import AckPolicy, ConsumerConfig

from headrace.buses.nats.bus import NatsBus
from headrace.buses.nats.connection import nanoseconds
from headrace.buses.nats.options import NatsOptions
from headrace.buses.port import REASON_HEADER, BusUnavailable, Delivery, Publication, PublicationRefused
from headrace.composition.brokers import hosts, nats_options
from headrace.errors import InvalidValue
from headrace.settings import Settings
from tests.support.nats import NatsHarness, NatsServer

LIMIT_S = 60.0
PASSWORD = "s3cret-of-nats"


@pytest.fixture(scope="module")
def harness(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NatsHarness]:
    if lack := NatsHarness.missing():
        pytest.skip(lack)
    harness = NatsHarness()
    harness.start_broker(tmp_path_factory.mktemp("nats"))
    yield harness
    harness.end_broker()


@pytest.fixture
async def client(harness: NatsHarness) -> AsyncIterator[Any]:
    async with await nats.connect(harness.server.url) as connected:
        yield connected


def _numbered(count: int, first: int = 0) -> list[Publication]:
    return [Publication(f"journal:{n}", "STARTED_WORKFLOW", 0, b'{"n":%d}' % n) for n in range(first, first + count)]


async def _collect(bus: NatsBus, count: int, *, acknowledges: bool = True) -> dict[str, Delivery]:
    seen: dict[str, Delivery] = {}
    async with asyncio.timeout(LIMIT_S):
        while len(seen) < count:
            with suppress(BusUnavailable):
                deliveries = await bus.receive()
                seen.update((each.key, each) for each in deliveries)
                if acknowledges:
                    await bus.acknowledge(deliveries)
    return seen


async def test_a_stream_that_holds_the_topic_is_used_as_it_is(harness: NatsHarness, client: Any) -> None:
    jetstream = client.jetstream()
    await jetstream.add_stream(name="STACK", subjects=["shared.>"], max_msgs=500)
    await jetstream.publish("shared.payments", b'{"n":1}')
    await jetstream.publish("shared.ledger", b'{"n":2}')
    bus = NatsBus(harness.options("shared.ledger", "shared.payments", publish_topic="shared.orchestration"))
    seen = await _collect(bus, 2)
    await bus.publish(_numbered(1))
    await bus.close()
    assert {(each.topic, each.body) for each in seen.values()} == {
        ("shared.payments", b'{"n":1}'),
        ("shared.ledger", b'{"n":2}'),
    }
    info = await jetstream.stream_info("STACK")
    assert (info.config.subjects, info.config.max_msgs, info.state.messages) == (["shared.>"], 500, 3)


async def test_the_key_is_the_streams_creation_to_the_nanosecond(harness: NatsHarness, client: Any) -> None:
    bus = NatsBus(harness.options("exact-ledger", publish_topic="exact-ledger"))
    await bus.publish(_numbered(1))
    [key] = await _collect(bus, 1)
    await bus.close()
    answer = await client.request("$JS.API.STREAM.INFO.exact-ledger")
    created = answer.data.partition(b'"created":"')[2].partition(b'"')[0].decode()
    seconds, _, fraction = created.removesuffix("Z").partition(".")
    assert key == f"nats:exact-ledger:{nanoseconds(created)}:1"
    assert nanoseconds(created) - nanoseconds(f"{seconds}Z") == int(fraction.ljust(9, "0"))


@pytest.mark.parametrize(
    ("time", "wanted"),
    [
        ("1970-01-01T00:00:00Z", 0),
        ("2026-11-24T20:45:24.657155472Z", 1_795_553_124_657_155_472),
        ("2026-11-24T20:45:24.6571Z", 1_795_553_124_657_100_000),
        ("2026-11-24T22:45:24.657155472+02:00", 1_795_553_124_657_155_472),
    ],
)
def test_nanoseconds(time: str, wanted: int) -> None:
    assert nanoseconds(time) == wanted


async def test_no_more_is_outstanding_than_may_be(harness: NatsHarness) -> None:
    bus = NatsBus(
        harness.options("bound-ledger", publish_topic="bound-ledger", max_outstanding=300, ack_wait_s=LIMIT_S)
    )
    for first in range(0, 1_000, 200):
        await bus.publish(_numbered(200, first))
    held = await _collect(bus, 300, acknowledges=False)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.5):
            await bus.receive()
    await bus.acknowledge(list(held.values()))
    rest = await _collect(bus, 700)
    await bus.close()
    assert len(held.keys() | rest.keys()) == 1_000
    assert not held.keys() & rest.keys()


@pytest.mark.parametrize("count", [50, 600], ids=["within a pull", "over several"])
async def test_what_waited_here_at_the_close_is_given_back_at_once(harness: NatsHarness, count: int) -> None:
    topic = f"back-{count}-ledger"
    options = harness.options(topic, publish_topic=topic, ack_wait_s=LIMIT_S * 10)
    first, second = NatsBus(options), NatsBus(options)
    await first.publish(_numbered(1))
    await _collect(first, 1)
    await first.publish(_numbered(count, 1))
    await asyncio.sleep(0.1)  # some have arrived by now, some may be on their way
    await first.close()
    # A server of 2.9 gives one of them to the pull that is no more: that one waits.
    assert len(await _collect(second, count - 1)) >= count - 1
    await second.close()


async def test_a_consumer_that_was_deleted_is_made_again(harness: NatsHarness, client: Any) -> None:
    bus = NatsBus(harness.options("gone-ledger", publish_topic="gone-ledger"))
    await bus.publish(_numbered(2))
    first = await _collect(bus, 2)
    await client.jetstream().delete_consumer("gone-ledger", "headrace-gone-ledger")
    await bus.publish(_numbered(1, 2))
    again = await _collect(bus, 3)
    await bus.close()
    assert first.keys() < again.keys(), "the new consumer begins at the stream's first event; keys are what they were"


async def test_a_consumer_that_would_drop_deliveries_is_put_right(harness: NatsHarness, client: Any) -> None:
    jetstream = client.jetstream()
    await jetstream.add_stream(name="drop-ledger", subjects=["drop-ledger"])
    config = ConsumerConfig(durable_name="headrace-drop-ledger", max_deliver=1, ack_policy=AckPolicy.EXPLICIT)
    await jetstream.add_consumer("drop-ledger", config, filter_subject="drop-ledger")
    bus = NatsBus(harness.options("drop-ledger", publish_topic="drop-ledger"))
    await bus.publish(_numbered(1))
    await _collect(bus, 1, acknowledges=False)
    async with asyncio.timeout(LIMIT_S):
        assert len(await bus.receive()) == 1, "delivered a second time"
    await bus.close()


async def test_a_frozen_server_is_noticed(tmp_path: Path) -> None:
    if lack := NatsHarness.missing():
        pytest.skip(lack)
    with NatsServer(tmp_path) as server:
        bus = NatsBus(_plain(server, publish_topic="a-ledger", pull_s=0.5, answer_s=1.0))
        await bus.publish(_numbered(1))
        await _collect(bus, 1)
        server.freeze()
        async with asyncio.timeout(LIMIT_S):
            with pytest.raises(BusUnavailable, match=server.address):
                await bus.receive()
        server.thaw()
        await bus.publish(_numbered(1, 1))
        await _collect(bus, 1)
        await bus.close()


async def test_a_dead_letter_that_does_not_fit_is_kept_by_its_key(harness: NatsHarness, client: Any) -> None:
    jetstream = client.jetstream()
    await jetstream.add_stream(name="large-ledger", subjects=["large-ledger"])
    await jetstream.publish(
        "large-ledger", b"x" * (client.max_payload - 64), headers={"Odd": "one", "Nats-Msg-Id": "1"}
    )
    bus = NatsBus(harness.options("large-ledger", dead_letter_topic="large-dead"))
    [delivery] = (await _collect(bus, 1, acknowledges=False)).values()
    await bus.dead_letter(delivery, "r" * 900)
    await bus.acknowledge([delivery])
    await bus.close()
    letter = await jetstream.get_msg("large-dead", 1)
    assert not letter.data
    assert letter.headers["Headrace-Key"] == delivery.key
    assert letter.headers["Odd"] == "one"
    assert letter.headers["Nats-Msg-Id"] == f"DLQ-{delivery.key}", "its own id is not taken over"
    assert f"{client.max_payload - 64} bytes" in letter.headers[REASON_HEADER]


async def test_a_delivery_is_set_aside_once_however_often_it_is_tried(harness: NatsHarness, client: Any) -> None:
    bus = NatsBus(harness.options("twice-ledger", publish_topic="twice-ledger", dead_letter_topic="twice-dead"))
    await bus.publish(_numbered(1))
    [delivery] = (await _collect(bus, 1, acknowledges=False)).values()
    for _ in range(3):
        await bus.dead_letter(delivery, "no event")
    await bus.close()
    assert (await client.jetstream().stream_info("twice-dead")).state.messages == 1


@pytest.mark.parametrize("limit", ["max_payload", "max_msg_size"], ids=["the server's", "the stream's"])
async def test_a_publication_that_does_not_fit_is_refused_alone(harness: NatsHarness, client: Any, limit: str) -> None:
    topic, size = f"full-{limit}-out", 1 << 20
    if limit == "max_msg_size":
        size = 5_000
        await client.jetstream().add_stream(name=topic, subjects=[topic], max_msg_size=size)
    bus = NatsBus(harness.options(topic, publish_topic=topic))
    first, second, third = _numbered(3)
    second = Publication(second.id, second.type, 0, b"x" * (size + 1))
    with pytest.raises(PublicationRefused, match=rf"event journal:1 has {size + 1} bytes.*{limit}") as caught:
        await bus.publish([first, second, third])
    assert caught.value.publication_id == second.id
    await bus.publish([third])
    seen = await _collect(bus, 2)
    await bus.close()
    assert [each.body for each in seen.values()] == [first.body, third.body]


@pytest.mark.parametrize("size", [60_000, 65_300], ids=["its headers fit", "not even they"])
async def test_a_dead_letter_with_huge_headers_is_kept_by_its_key(harness: NatsHarness, client: Any, size: int) -> None:
    """A stream takes 64 KiB of headers, and ours come on top of what the delivery had."""
    topic, jetstream = f"headers-{size}-ledger", client.jetstream()
    await jetstream.add_stream(name=topic, subjects=[topic])
    await jetstream.publish(topic, b"no event", headers={"Odd": "x" * size})
    bus = NatsBus(harness.options(topic, dead_letter_topic=f"{topic}-dead"))
    [delivery] = (await _collect(bus, 1, acknowledges=False)).values()
    await bus.dead_letter(delivery, "r" * 900)
    await bus.acknowledge([delivery])
    await bus.close()
    letter = await jetstream.get_msg(f"{topic}-dead", 1)
    assert letter.headers["Headrace-Key"] == delivery.key
    assert letter.headers[REASON_HEADER].startswith("r" * 900)
    assert ("Odd" in letter.headers, letter.data) == ((True, b"no event") if size == 60_000 else (False, None))


async def test_an_outage_is_logged_once_and_so_is_its_end(tmp_path: Path) -> None:
    if lack := NatsHarness.missing():
        pytest.skip(lack)
    with NatsServer(tmp_path) as server, structlog.testing.capture_logs() as lines:
        bus = NatsBus(_plain(server))
        await bus.publish(_numbered(1))
        server.kill()
        for _ in range(5):
            with pytest.raises(BusUnavailable):
                await bus.publish(_numbered(1, 1))
        server.restart()
        await bus.publish(_numbered(1, 1))
        await bus.close()
    levels = [line["log_level"] for line in lines if line["event"] != "created a stream"]
    assert levels == ["info", "warning", "info"]


def _plain(server: NatsServer, **chosen: Any) -> NatsOptions:
    names = {"topics": ("a-ledger",), "publish_topic": "a-orchestration", "dead_letter_topic": "a-dead"}
    return NatsOptions(servers=(server.address,), **{**names, **chosen})


# who gets in


async def test_a_wrong_password_is_told_without_it(tmp_path: Path) -> None:
    if lack := NatsHarness.missing():
        pytest.skip(lack)
    with NatsServer(tmp_path, arguments=["--user", "payer", "--pass", PASSWORD]) as server:
        wrong = NatsBus(_plain(server, username="payer", password=PASSWORD + "!"))
        with pytest.raises(BusUnavailable, match=r"refuses user 'payer'.*HEADRACE_BROKER") as refusal:
            await wrong.receive()
        nobody = NatsBus(_plain(server))
        with pytest.raises(BusUnavailable, match="refuses a client without a user"):
            await nobody.publish(_numbered(1))
        right = NatsBus(_plain(server, username="payer", password=PASSWORD))
        await right.publish(_numbered(1))
        for bus in (wrong, nobody, right):
            await bus.close()
    assert PASSWORD not in str(refusal.value) + repr(_plain(server, password=PASSWORD))


async def test_a_server_without_jetstream_is_told(tmp_path: Path) -> None:
    if lack := NatsHarness.missing():
        pytest.skip(lack)
    with NatsServer(tmp_path, has_jetstream=False) as server:
        bus = NatsBus(_plain(server))
        with pytest.raises(BusUnavailable, match=r"JetStream is not enabled at 127\.0\.0\.1"):
            await bus.receive()
        await bus.close()


async def test_a_user_who_may_not_is_told(tmp_path: Path) -> None:
    if lack := NatsHarness.missing():
        pytest.skip(lack)
    users = tmp_path / "users.conf"
    users.write_text(
        f'authorization {{ users = [ {{ user: payer, password: "{PASSWORD}", permissions: {{ publish: "a.>" }} }} ] }}'
    )
    with NatsServer(tmp_path / "nats", arguments=["-c", str(users)]) as server:
        bus = NatsBus(_plain(server, username="payer", password=PASSWORD, answer_s=0.5))
        with pytest.raises(BusUnavailable, match=r"(?i)permissions violation"):
            await bus.receive()
        await bus.close()


async def test_tls_is_spoken_and_nothing_secret_goes_to_who_does_not(tmp_path: Path) -> None:
    for tool, lack in (("openssl", "openssl is not installed"), ("nats-server", NatsHarness.missing())):
        if lack and (tool == "nats-server" or shutil.which(tool) is None):
            pytest.skip(lack)
    certificate, key = _certificate(tmp_path)
    account = ["--user", "payer", "--pass", PASSWORD]
    tls = ["--tls", "--tlscert", str(certificate), "--tlskey", str(key)]
    chosen: dict[str, Any] = {"username": "payer", "password": PASSWORD, "is_tls": True, "ca": certificate}
    with NatsServer(tmp_path / "secure", arguments=[*account, *tls]) as server:
        bus = NatsBus(_plain(server, **chosen))
        await bus.publish(_numbered(1))
        await bus.close()
        stranger = NatsBus(_plain(server, **{**chosen, "ca": None}))
        with pytest.raises(BusUnavailable, match=r"(?i)certificate"):
            await stranger.publish(_numbered(1))
        await stranger.close()
        unread = NatsBus(_plain(server, **{**chosen, "ca": tmp_path / "missing.pem"}))
        with pytest.raises(BusUnavailable, match="HEADRACE_BROKER_CA"):
            await unread.publish(_numbered(1))
        await unread.close()
    with NatsServer(tmp_path / "plain", arguments=[*account, "-V"]) as server:
        bus = NatsBus(_plain(server, **chosen))
        with pytest.raises(BusUnavailable, match="does not use TLS"):
            await bus.publish(_numbered(1))
        await bus.close()
        assert "CONNECT {" not in server.log(), "the login was not sent in clear"


def _certificate(folder: Path) -> tuple[Path, Path]:
    certificate, key = folder / "certificate.pem", folder / "key.pem"
    command = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
        "-nodes",
        "-days",
        "2",
    ]
    names = ["-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1"]
    subprocess.run([*command, *names, "-keyout", str(key), "-out", str(certificate)], check=True, capture_output=True)
    return certificate, key


# settings


def test_options_come_from_the_settings() -> None:
    settings = Settings.from_env(
        {
            "HEADRACE_BROKER_URL": "nats://one,two:4333",
            "HEADRACE_STACK_NAME": "formance-dev",
            "HEADRACE_BROKER_USERNAME": "payer",
            "HEADRACE_BROKER_PASSWORD": PASSWORD,
            "HEADRACE_DEAD_LETTER_TOPIC": "odd",
        }
    )
    options = nats_options(settings)
    assert options.servers == ("one:4222", "two:4333")
    assert options.topics == ("formance-dev-ledger", "formance-dev-payments")
    assert (options.publish_topic, options.dead_letter_topic) == ("formance-dev-orchestration", "odd")
    assert (options.username, options.password, options.group) == ("payer", PASSWORD, "headrace")
    with pytest.raises(InvalidValue, match="HEADRACE_STACK_NAME"):
        nats_options(Settings.from_env({"HEADRACE_BROKER_URL": "nats://one"}))


def test_hosts_with_and_without_port() -> None:
    assert hosts("nats://a,b:1,[::1]:2,[::1]", 4222) == ("a:4222", "b:1", "[::1]:2", "[::1]:4222")
