"""Signed webhooks against real receivers: what arrives, what counts as taken, and what happens when it is not.

The page of the documentation is run here too: its file is read, its snippet verifies what arrives.
"""

from __future__ import annotations

import asyncio
import json
import re
import shutil
import ssl
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pytest
from aiohttp import web

from headrace.api import yaml
from headrace.buses.event_types import TYPES
from headrace.buses.port import BusUnavailable, Publication, PublicationRefused, Publisher
from headrace.buses.webhooks.endpoints import read_endpoints
from headrace.buses.webhooks.publisher import MAX_ANSWER_BYTES, Webhook
from headrace.clock import SystemClock
from headrace.events.identity import of_request
from tests.support.server import Server

PAGE = (Path(__file__).parents[2] / "docs/webhooks.md").read_text()
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
JOURNAL = "0f8fad5bd9cb469fa16570867728950e"


@dataclass
class Call:
    path: str
    headers: dict[str, str]
    """Names in lower case."""
    body: bytes
    request: web.BaseRequest

    @property
    def id(self) -> str:
        return self.headers["webhook-id"]


Answer = Callable[[Call], Awaitable[web.StreamResponse] | web.StreamResponse]


def always(status: int, **options: Any) -> Answer:
    return lambda call: web.Response(status=status, **options)


@dataclass
class Receiver:
    answer: Answer = field(default_factory=lambda: always(204))
    calls: list[Call] = field(default_factory=list[Call])
    tls: ssl.SSLContext | None = None
    port: int = 0

    @property
    def url(self) -> str:
        return f"{'https' if self.tls else 'http'}://127.0.0.1:{self.port}/hooks?code=C0DE"

    @property
    def ids(self) -> list[str]:
        return [call.id for call in self.calls]

    async def __aenter__(self) -> Self:
        self._runner = web.ServerRunner(web.Server(self._handle), shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0, ssl_context=self.tls).start()
        self.port = self._runner.addresses[0][1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        await self._runner.cleanup()

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        headers = {name.lower(): value for name, value in request.headers.items()}
        call = Call(request.path_qs, headers, await request.read(), request)
        self.calls.append(call)
        answered = self.answer(call)
        return await answered if isinstance(answered, Awaitable) else answered


def webhook(tmp_path: Path, url: str, *, timeout_s: float = 5.0, **entry: Any) -> Webhook:
    file = tmp_path / "webhooks.json"
    file.write_text(json.dumps({"endpoints": [{"url": url, "secret": SECRET, **entry}]}))
    (endpoint,) = read_endpoints(file, {}, lambda body: yaml.decode(body).value)
    return Webhook(endpoint, SystemClock(), timeout_s=timeout_s)


def publications(count: int, kind: str = "SUCCEEDED_WORKFLOW") -> list[Publication]:
    bodies = [b'{ "type":"%s", "payload":{"number":%d} }' % (kind.encode(), number) for number in range(count)]
    return [Publication(f"{JOURNAL}:{number}", kind, number, body) for number, body in enumerate(bodies)]


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with Receiver() as made:
        yield made


@pytest.fixture
async def hook(tmp_path: Path, receiver: Receiver) -> AsyncIterator[Webhook]:
    made = webhook(tmp_path, receiver.url, name="shop")
    yield made
    await made.close()


async def failure(hook: Publisher, sent: list[Publication]) -> str:
    with pytest.raises(BusUnavailable) as caught:
        await hook.publish(sent)
    text = str(caught.value)
    assert "C0DE" not in text
    assert caught.value.__cause__ is None
    return text


# what arrives


async def test_each_event_is_one_post_in_order_with_its_bytes_as_they_are(hook: Webhook, receiver: Receiver) -> None:
    sent = publications(20)
    await hook.publish(sent)
    assert [(call.id, call.body) for call in receiver.calls] == [(one.id, one.body) for one in sent]
    call = receiver.calls[7]
    assert call.path == "/hooks?code=C0DE"
    assert call.headers["content-type"] == "application/json"
    assert call.headers["content-length"] == str(len(call.body))
    assert call.headers["idempotency-key"] == call.headers["headrace-event"] == f"{JOURNAL}:7"
    assert call.headers["headrace-depth"] == "7"
    for name in ("id", "timestamp", "signature"):
        assert call.headers[f"formance-webhook-{name}"] == call.headers[f"webhook-{name}"]


async def test_the_snippet_of_the_page_verifies_what_arrives_and_nothing_else(
    hook: Webhook, receiver: Receiver
) -> None:
    (snippet,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    names: dict[str, Any] = {}
    exec(snippet, names)  # the page is ours
    is_genuine = names["is_genuine"]
    await hook.publish(publications(1))
    (call,) = receiver.calls
    assert is_genuine(call.headers, call.body, SECRET)
    assert is_genuine(
        {**call.headers, "webhook-signature": f"v1,no {call.headers['webhook-signature']}"}, call.body, SECRET
    )
    assert not is_genuine(call.headers, call.body + b" ", SECRET)
    assert not is_genuine(call.headers, call.body, SECRET[6:])
    assert not is_genuine({**call.headers, "webhook-id": f"{JOURNAL}:1"}, call.body, SECRET)
    later = str(int(call.headers["webhook-timestamp"]) + 1)
    assert not is_genuine({**call.headers, "webhook-timestamp": later}, call.body, SECRET)
    old = {**call.headers, "webhook-timestamp": "1614265330"}
    assert not is_genuine(old, call.body, SECRET)
    assert not is_genuine({}, call.body, SECRET)


def test_the_file_of_the_page_is_one(tmp_path: Path) -> None:
    (text,) = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
    file = tmp_path / "webhooks.yaml"
    file.write_text(text)
    shop, other = read_endpoints(file, {"SHOP_WEBHOOK_SECRET": SECRET}, lambda body: yaml.decode(body).value)
    assert shop.types == {"SUCCEEDED_WORKFLOW", "FAILED_WORKFLOW"}
    assert other.types == frozenset(TYPES)
    assert shop.key == other.key
    for kind in TYPES:
        assert f"`{kind}`" in PAGE


async def test_an_endpoint_wants_what_it_names(tmp_path: Path, receiver: Receiver) -> None:
    hook = webhook(tmp_path, receiver.url, events=["orchestration.failed_trigger"])
    assert [kind for kind in TYPES if hook.wants(kind)] == ["FAILED_TRIGGER"]
    assert all(webhook(tmp_path, receiver.url).wants(kind) for kind in TYPES)
    await hook.close()


# what counts as taken


@pytest.mark.parametrize("status", [200, 201, 202, 204, 299])
async def test_any_2xx_takes_it(hook: Webhook, receiver: Receiver, status: int) -> None:
    receiver.answer = always(status)
    await hook.publish(publications(2))
    assert len(receiver.calls) == 2


@pytest.mark.parametrize("status", [301, 304, 307, 308, 400, 401, 404, 408, 410, 429, 500, 503])
async def test_any_other_status_does_not(hook: Webhook, receiver: Receiver, status: int) -> None:
    location = {"Location": receiver.url} if status in (301, 307, 308) else {}
    receiver.answer = always(status, headers=location)
    text = await failure(hook, publications(3))
    assert text.startswith(f"webhook shop (http://127.0.0.1:{receiver.port}): answered {status}")
    assert len(receiver.calls) == 1  # neither followed, nor repeated, nor overtaken


@pytest.mark.parametrize(
    ("status", "is_its_own"),
    [(400, True), (409, True), (413, True), (422, True), (500, True)]
    + [(status, False) for status in (302, 401, 403, 404, 405, 408, 410, 415, 421, 429, 501, 502, 503, 504)],
)
async def test_which_answers_may_be_about_one_event_alone(
    hook: Webhook, receiver: Receiver, status: int, is_its_own: bool
) -> None:
    sent = publications(3)
    receiver.answer = lambda call: web.Response(status=status if call.id == sent[1].id else 204)
    with pytest.raises(BusUnavailable, match=f"answered {status}") as caught:
        await hook.publish(sent)
    assert isinstance(caught.value, PublicationRefused) is is_its_own
    assert getattr(caught.value, "publication_id", sent[1].id) == sent[1].id
    assert receiver.ids == [sent[0].id, sent[1].id]


async def test_a_failed_batch_goes_on_where_it_stopped(hook: Webhook, receiver: Receiver) -> None:
    sent = publications(4)
    receiver.answer = lambda call: web.Response(status=503 if call.id == sent[2].id else 204)
    await failure(hook, sent)
    await failure(hook, sent)
    receiver.answer = always(204)
    await hook.publish(sent)
    assert receiver.ids == [sent[number].id for number in (0, 1, 2, 2, 2, 3)]
    await hook.publish(sent[:1])  # asked for anew, it is sent anew
    assert receiver.ids[-1] == sent[0].id


async def test_a_dead_letter_between_two_attempts_makes_nothing_come_again(hook: Webhook, receiver: Receiver) -> None:
    *batch, letter = publications(3)
    receiver.answer = lambda call: web.Response(status=503 if call.id == batch[1].id else 204)
    await failure(hook, batch)
    await hook.publish([letter])
    receiver.answer = always(204)
    await hook.publish(batch)
    assert receiver.ids == [batch[0].id, batch[1].id, letter.id, batch[1].id]


async def test_a_later_attempt_has_the_same_id_and_body(hook: Webhook, receiver: Receiver) -> None:
    receiver.answer = always(500)
    sent = publications(1)
    await failure(hook, sent)
    await failure(hook, sent)
    first, second = receiver.calls
    assert (first.id, first.body) == (second.id, second.body)


async def test_an_answer_that_does_not_come_is_a_time_out(tmp_path: Path, receiver: Receiver) -> None:
    async def silent(call: Call) -> web.StreamResponse:
        await asyncio.Event().wait()
        raise AssertionError("unreachable")

    receiver.answer = silent
    hook = webhook(tmp_path, receiver.url, timeout_s=0.1)
    assert "no answer within 0.1 s" in await failure(hook, publications(1))
    receiver.answer = always(204)
    await hook.publish(publications(1))
    await hook.close()


async def test_a_connection_that_breaks_off_is_a_failure_and_the_next_attempt_gets_through(
    tmp_path: Path,
) -> None:
    connections = 0

    async def hang_up_once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        await reader.readuntil(b"\r\n\r\n")
        if connections > 1:
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
            await writer.drain()
        writer.close()

    server = await asyncio.start_server(hang_up_once, "127.0.0.1", 0)
    hook = webhook(tmp_path, f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/")
    assert "closed without an answer" in await failure(hook, publications(1))
    assert connections == 1
    await hook.publish(publications(1))
    await hook.close()
    server.close()
    await server.wait_closed()


@pytest.mark.parametrize("answer", [b"SSH-2.0-x\r\n\r\n", b"HTTP/1.1 200 OK\r\nX: " + b"a" * 100_000 + b"\r\n\r\n"])
async def test_an_answer_that_is_not_http_is_a_failure(tmp_path: Path, answer: bytes) -> None:
    async def babble(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        writer.close()

    server = await asyncio.start_server(babble, "127.0.0.1", 0)
    hook = webhook(tmp_path, f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/")
    assert "no usable answer" in await failure(hook, publications(1))
    await hook.close()
    server.close()
    await server.wait_closed()


async def test_nobody_listening_and_no_such_host_are_failures(tmp_path: Path) -> None:
    async with Receiver() as gone:
        url = gone.url
    for address, says in ((url, "cannot connect"), ("http://nowhere.invalid/", "cannot be resolved")):
        hook = webhook(tmp_path, address)
        assert says in await failure(hook, publications(1))
        await hook.close()


async def test_an_endless_answer_is_read_no_further_than_its_bound(tmp_path: Path, receiver: Receiver) -> None:
    written = 0
    ended = asyncio.Event()

    async def endless(call: Call) -> web.StreamResponse:
        nonlocal written
        response = web.StreamResponse(status=200)
        await response.prepare(call.request)
        try:
            while True:
                await response.write(bytes(MAX_ANSWER_BYTES))
                written += MAX_ANSWER_BYTES
        finally:
            ended.set()

    receiver.answer = endless
    hook = webhook(tmp_path, receiver.url, timeout_s=30.0)
    await hook.publish(publications(1))
    await ended.wait()
    assert written < 32 << 20  # what the sockets between the two hold, and not 30 s of it
    receiver.answer = always(204)
    await hook.publish(publications(1))
    await hook.close()


async def test_a_cancelled_publication_comes_again_and_what_was_taken_does_not(
    hook: Webhook, receiver: Receiver
) -> None:
    sent = publications(2)
    arrived = asyncio.Event()

    async def silent_at_the_second(call: Call) -> web.StreamResponse:
        if call.id == sent[1].id:
            arrived.set()
            await asyncio.Event().wait()
        return web.Response(status=204)

    receiver.answer = silent_at_the_second
    task = asyncio.create_task(hook.publish(sent))
    await arrived.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    receiver.answer = always(204)
    await hook.publish(sent)
    assert receiver.ids == [sent[0].id, sent[1].id, sent[1].id]


# TLS


def self_signed(folder: Path) -> ssl.SSLContext:
    key, certificate = folder / "key.pem", folder / "certificate.pem"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    command += ["-keyout", str(key), "-out", str(certificate), "-days", "2", "-subj", "/CN=127.0.0.1"]
    subprocess.run([*command, "-addext", "subjectAltName=IP:127.0.0.1"], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    return context


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not there to make a certificate")
async def test_a_certificate_that_nobody_vouches_for_is_refused(tmp_path: Path) -> None:
    async with Receiver(tls=self_signed(tmp_path)) as receiver:
        hook = webhook(tmp_path, receiver.url)
        assert "its certificate is not trusted" in await failure(hook, publications(1))
        assert receiver.calls == []
        await hook.close()


async def test_https_to_one_that_speaks_none_is_a_failure(tmp_path: Path, receiver: Receiver) -> None:
    hook = webhook(tmp_path, receiver.url.replace("http:", "https:"))
    assert "no TLS connection could be made" in await failure(hook, publications(1))
    await hook.close()


# another Headrace


async def test_another_headrace_takes_each_event_once(tmp_path: Path, shared_server: Server) -> None:
    sent = publications(3)
    for _ in range(2):
        hook = webhook(tmp_path, f"{shared_server.url}/api/orchestration/ext/events")
        await hook.publish(sent)
        await hook.close()
    received = shared_server.get("/api/orchestration/ext/events").json["data"]
    ours = {row["key"]: row["repeats"] for row in received if JOURNAL in row["key"]}
    assert ours == {of_request(None, "anonymous", one.id, None): 1 for one in sent}
