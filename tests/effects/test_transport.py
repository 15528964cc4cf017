"""One attempt over HTTP against a real socket: every way it can go wrong is a NoResponse that gives nothing away."""

from __future__ import annotations

import asyncio
import gzip
import zlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from headrace.clock import SystemClock
from headrace.effects.oauth import ClientCredentials
from headrace.effects.port import NoResponse, Request, Response
from headrace.effects.transport import MAX_RESPONSE_BYTES, HttpDownstream, ServiceAddresses
from headrace.errors import InvalidValue
from tests.effects.stub import Answer, Handler, Seen, Stub, answer

POST = Request("ledger", "POST", "/v2/main/transactions", b'{"amount":12345}', "headrace:i:0:0")
GET = Request("payments", "GET", "/payments/a%2Fb%20c?x=%7B%22")


@asynccontextmanager
async def calling(
    handler: Handler, *, closes_after: bool = False, **options: Any
) -> AsyncIterator[tuple[Stub, HttpDownstream]]:
    async with Stub(handler, closes_after=closes_after) as stub:
        options.setdefault("timeout_s", 5.0)
        addresses = ServiceAddresses.of(stack_url=stub.url)
        client = HttpDownstream(addresses, credentials=None, clock=SystemClock(), **options)
        try:
            yield stub, client
        finally:
            await client.close()


def always(content: Answer) -> Handler:
    return lambda seen: content


async def failure(handler: Handler, request: Request = POST, **options: Any) -> str:
    async with calling(handler, **options) as (stub, client):
        with pytest.raises(NoResponse) as caught:
            await client.send(request)
        text = str(caught.value)
        assert text.startswith(f"{request.service}: ")
        assert stub.url not in text
        assert "12345" not in text
        assert caught.value.__cause__ is None
        return text


# what is sent


async def test_bytes_path_and_headers_arrive_as_they_are() -> None:
    async with calling(always(answer(200, b"{}"))) as (stub, client):
        assert await client.send(POST) == Response(
            200, b"{}", {"content-type": "application/json", "content-length": "2"}
        )
        await client.send(GET)
    post, get = stub.seen
    assert (post.method, post.target, post.body) == ("POST", "/api/ledger/v2/main/transactions", POST.body)
    assert post.headers["content-type"] == "application/json"
    assert post.headers["idempotency-key"] == POST.key
    assert "authorization" not in post.headers
    assert (get.method, get.target, get.body) == ("GET", "/api/payments/payments/a%2Fb%20c?x=%7B%22", b"")
    assert "idempotency-key" not in get.headers
    assert get.headers["accept-encoding"] == "identity"


async def test_headers_of_the_call_are_asked_for_each_time_and_leave_the_request_alone() -> None:
    numbers = iter(range(10))
    async with calling(always(answer(200, b"{}")), extra_headers=lambda: {"traceparent": f"00-{next(numbers)}"}) as (
        stub,
        client,
    ):
        await client.send(POST)
        await client.send(POST)
    assert [seen.headers["traceparent"] for seen in stub.seen] == ["00-0", "00-1"]
    assert {seen.headers["idempotency-key"] for seen in stub.seen} == {POST.key}
    assert {seen.body for seen in stub.seen} == {POST.body}


async def test_payments_never_get_a_key() -> None:
    async with calling(always(answer(200, b"{}"))) as (stub, client):
        await client.send(Request("payments", "POST", "/transfer-initiations", b"{}", "k"))
    assert "idempotency-key" not in stub.seen[0].headers


async def test_connections_are_reused_and_cookies_are_not() -> None:
    async with calling(always(answer(200, b"{}", set_cookie="a=b"))) as (stub, client):
        for _ in range(5):
            await client.send(POST)
        assert stub.connections == 1
    assert all("cookie" not in seen.headers for seen in stub.seen)


async def test_a_slow_service_holds_up_no_other() -> None:
    started, release = asyncio.Event(), asyncio.Event()
    waiting = 0

    async def slow(seen: Seen) -> bytes:
        nonlocal waiting
        if "wallets" in seen.target:
            return answer(200)
        waiting += 1
        if waiting == 10:
            started.set()
        await release.wait()
        return answer(200)

    async with calling(slow) as (stub, client):
        tasks = [asyncio.ensure_future(client.send(POST)) for _ in range(10)]
        await started.wait()
        assert (await client.send(Request("wallets", "GET", "/wallets"))).status == 200  # not starved by the ledger
        assert stub.connections == 11
        release.set()
        assert {response.status for response in await asyncio.gather(*tasks)} == {200}


# what comes back


@pytest.mark.parametrize("status", [200, 204, 400, 401, 404, 409, 429, 500, 503])
async def test_every_status_is_a_response(status: int) -> None:
    async with calling(always(answer(status, b"" if status == 204 else b"{}", retry_after="3"))) as (stub, client):
        response = await client.send(POST)
        assert (response.status, response.headers["retry-after"]) == (status, "3")
    assert len(stub.seen) == 1


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_redirects_are_not_followed(status: int) -> None:
    async with Stub(always(answer(200))) as elsewhere:
        async with calling(always(answer(status, location=f"{elsewhere.url}/steal"))) as (_, client):
            assert (await client.send(GET)).status == status
        assert elsewhere.seen == []


async def test_a_chunked_answer_is_put_together() -> None:
    content = b'HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\n{"a\r\n4\r\n":1}\r\n0\r\n\r\n'
    async with calling(always(content)) as (_, client):
        assert (await client.send(POST)).body == b'{"a":1}'


async def test_a_large_answer_within_the_bound() -> None:
    body = b"x" * (3 << 20)
    async with calling(always(answer(200, body))) as (_, client):
        assert (await client.send(POST)).body == body


# what does not


async def test_a_closed_connection_is_no_response_and_is_not_retried() -> None:
    for request in (POST, GET):
        async with calling(always(None)) as (stub, client):
            with pytest.raises(NoResponse, match="closed without an answer"):
                await client.send(request)
        assert len(stub.seen) == 1


async def test_a_kept_connection_that_is_gone_is_no_response() -> None:
    """The bytes may have been read before it closed: whether to send again is not for this room to say."""
    answers: list[Answer] = [answer(200, b"{}"), None]
    async with calling(lambda seen: answers.pop(0)) as (stub, client):
        await client.send(POST)
        with pytest.raises(NoResponse):
            await client.send(POST)
    assert (len(stub.seen), stub.connections) == (2, 1)


async def test_a_timeout() -> None:
    async def never(seen: Seen) -> Answer:
        await asyncio.Event().wait()
        return None

    assert await failure(never, timeout_s=0.1) == "ledger: no answer within 0.1 s"


async def test_nobody_listens() -> None:
    async with Stub(always(None)) as stub:
        url = stub.url
    client = HttpDownstream(ServiceAddresses.of(ledger_url=url), credentials=None, clock=SystemClock())
    with pytest.raises(NoResponse, match="ledger: cannot connect"):
        await client.send(POST)
    await client.close()


async def test_a_body_that_breaks_off() -> None:
    text = await failure(always(answer(200, b'{"data":', content_length="100")), closes_after=True)
    assert text == "ledger: the answer broke off"
    chunked = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n100\r\nabc"
    assert await failure(always(chunked), closes_after=True) == "ledger: the answer broke off"


async def test_a_head_that_breaks_off_or_is_none() -> None:
    for content in (b"HTTP/1.1 200 OK\r\ncontent-le", b"hello\r\n\r\n", b"\x00\xff" * 50, b"HTTP/1.1 abc OK\r\n\r\n"):
        await failure(always(content), closes_after=True)
    await failure(always(b"HTTP/1.1 200 OK\r\nx: " + b"y" * 100_000 + b"\r\n\r\n"), closes_after=True)


async def test_a_huge_answer_declared_or_not() -> None:
    text = f"ledger: an answer of more than {MAX_RESPONSE_BYTES} bytes"
    assert await failure(always(answer(200, b"x", content_length=str(MAX_RESPONSE_BYTES + 1)))) == text
    endless = (
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n" + (b"100000\r\n" + b"x" * (1 << 20) + b"\r\n") * 9
    )
    assert await failure(always(endless)) == text


async def test_gzip_is_understood_within_the_same_bound() -> None:
    packed = gzip.compress(b'{"a":1}')
    async with calling(always(answer(200, packed, content_encoding="gzip"))) as (_, client):
        assert (await client.send(POST)).body == b'{"a":1}'
    bomb = gzip.compress(b"\0" * (MAX_RESPONSE_BYTES + 1))
    assert len(bomb) < 100_000
    assert "more than" in await failure(always(answer(200, bomb, content_encoding="gzip")))
    assert "breaks off" in await failure(always(answer(200, packed[:-4], content_encoding="gzip")))
    assert "broken" in await failure(always(answer(200, b"plain", content_encoding="gzip")))
    assert "not asked for" in await failure(always(answer(200, zlib.compress(b"x"), content_encoding="deflate")))


async def test_a_cancelled_call_leaves_the_client_usable() -> None:
    hold = asyncio.Event()

    async def slow_first(seen: Seen) -> Answer:
        if len(stub.seen) == 1:
            await hold.wait()
        return answer(200)

    async with calling(slow_first) as (stub, client):
        task = asyncio.ensure_future(client.send(POST))
        while not stub.seen:
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert (await client.send(POST)).status == 200


# addresses


def test_addresses_of_a_stack_and_of_each_service() -> None:
    stack = ServiceAddresses.of(stack_url="https://stack.example.com/", wallets_url="http://127.0.0.1:1/w/")
    assert stack.root("ledger") == "https://stack.example.com/api/ledger"
    assert stack.root("payments") == "https://stack.example.com/api/payments"
    assert stack.root("wallets") == "http://127.0.0.1:1/w"


async def test_a_missing_address_names_its_setting() -> None:
    client = HttpDownstream(ServiceAddresses.of(ledger_url="http://127.0.0.1:1"), credentials=None, clock=SystemClock())
    with pytest.raises(NoResponse, match="HEADRACE_PAYMENTS_URL or HEADRACE_STACK_URL"):
        await client.send(GET)
    await client.close()


BAD_URLS = [
    "",
    "ledger",
    "ftp://h",
    "//h",
    "http://",
    "http://u:p@h",
    "http://@h",
    "http://h?x",
    "http://h/#f",
    "http://h:99999",
    "http://h:x",
    "http://h\r\nx",
    "http://h /",
    "http://[::1",
    "http://é",
    "http://h\\x",
]


@pytest.mark.parametrize("url", BAD_URLS)
@pytest.mark.parametrize("service", ["stack", "ledger", "wallets", "payments"])
def test_a_bad_address_names_its_setting(service: str, url: str) -> None:
    with pytest.raises(InvalidValue) as caught:
        ServiceAddresses.of(**{f"{service}_url": url})
    assert caught.value.field == f"HEADRACE_{service.upper()}_URL"


# tokens


class ManualClock(SystemClock):
    def __init__(self) -> None:
        self.at_s = 1_000.0

    def monotonic_s(self) -> float:
        return self.at_s


class Issuer:
    """A token endpoint and a service behind it that takes only its latest token."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.issued = 0
        self.refused: set[str] = set()
        self.token_answer: Callable[[], Answer] = self.token
        self.lifetime = "300"

    def token(self) -> bytes:
        self.issued += 1
        return answer(
            200, b'{"access_token":"t%d","token_type":"bearer","expires_in":%s}' % (self.issued, self.lifetime.encode())
        )

    def __call__(self, seen: Seen) -> Answer:
        if seen.target == "/token":
            return self.token_answer()
        token = seen.headers["authorization"].removeprefix("Bearer ")
        return answer(401 if token in self.refused else 200, b"{}")

    @asynccontextmanager
    async def calling(self) -> AsyncIterator[tuple[Stub, HttpDownstream]]:
        async with Stub(self) as stub:
            credentials = ClientCredentials("me", "s3cret&=", f"{stub.url}/token")
            client = HttpDownstream(ServiceAddresses.of(stack_url=stub.url), credentials=credentials, clock=self.clock)
            try:
                yield stub, client
            finally:
                await client.close()


def tokens_used(stub: Stub) -> list[str]:
    return [seen.headers["authorization"] for seen in stub.seen if seen.target != "/token"]


async def test_a_token_is_asked_for_once_and_used_by_all() -> None:
    issuer = Issuer()
    async with issuer.calling() as (stub, client):
        await asyncio.gather(*(client.send(request) for request in [POST, GET] * 20))
        assert tokens_used(stub) == ["Bearer t1"] * 40
        asked = [seen for seen in stub.seen if seen.target == "/token"]
    assert len(asked) == issuer.issued == 1
    assert asked[0].body == b"grant_type=client_credentials&client_id=me&client_secret=s3cret%26%3D"
    assert asked[0].headers["content-type"] == "application/x-www-form-urlencoded"
    assert "authorization" not in asked[0].headers


async def test_a_token_is_renewed_before_it_expires() -> None:
    issuer = Issuer()
    async with issuer.calling() as (stub, client):
        for at_s in (1_000.0, 1_269.0, 1_271.0, 1_300.0):
            issuer.clock.at_s = at_s
            await client.send(POST)
        assert tokens_used(stub) == ["Bearer t1", "Bearer t1", "Bearer t2", "Bearer t2"]


async def test_a_renewal_that_fails_does_not_waste_a_good_token() -> None:
    issuer = Issuer()
    async with issuer.calling() as (stub, client):
        await client.send(POST)
        issuer.token_answer = lambda: answer(503)
        issuer.clock.at_s += 280
        await client.send(POST)
        assert tokens_used(stub) == ["Bearer t1"] * 2
        issuer.clock.at_s += 21
        with pytest.raises(NoResponse, match="the token endpoint answered 503"):
            await client.send(POST)
        assert len(tokens_used(stub)) == 2


async def test_a_401_gets_a_fresh_token_once() -> None:
    issuer = Issuer()
    async with issuer.calling() as (stub, client):
        await client.send(POST)
        issuer.refused = {"t1"}
        issuer.clock.at_s += 2
        assert (await client.send(POST)).status == 200
        assert tokens_used(stub) == ["Bearer t1", "Bearer t1", "Bearer t2"]
        issuer.refused = {"t1", "t2", "t3", "t4"}
        issuer.clock.at_s += 2
        assert (await client.send(POST)).status == 401
        assert tokens_used(stub)[3:] == ["Bearer t2", "Bearer t3"]
    posts = [seen for seen in stub.seen if seen.target != "/token"]
    assert {(seen.body, seen.headers["idempotency-key"]) for seen in posts} == {(POST.body, POST.key)}


async def test_a_403_makes_the_next_attempt_ask_for_a_fresh_token() -> None:
    issuer = Issuer()
    async with Stub(lambda seen: issuer(seen) if seen.target == "/token" else answer(403)) as stub:
        credentials = ClientCredentials("me", "s3cret", f"{stub.url}/token")
        client = HttpDownstream(ServiceAddresses.of(stack_url=stub.url), credentials=credentials, clock=issuer.clock)
        for seconds in (0, 1, 29, 1, 1):
            issuer.clock.at_s += seconds
            assert (await client.send(POST)).status == 403
        assert tokens_used(stub) == ["Bearer t1", "Bearer t1", "Bearer t1", "Bearer t2", "Bearer t2"]
        await client.close()


async def test_many_401s_at_once_ask_for_one_token() -> None:
    issuer = Issuer()
    async with issuer.calling() as (stub, client):
        await client.send(POST)
        issuer.refused = {"t1"}
        issuer.clock.at_s += 2
        responses = await asyncio.gather(*(client.send(POST) for _ in range(30)))
        assert {response.status for response in responses} == {200}
        assert issuer.issued == 2
        assert stub.seen[-1].headers["authorization"] == "Bearer t2"


async def test_the_token_endpoint_is_not_flooded() -> None:
    issuer = Issuer()
    issuer.token_answer = lambda: answer(500)
    async with issuer.calling() as (stub, client):
        for _ in range(20):
            with pytest.raises(NoResponse, match="no access token: the token endpoint answered 500"):
                await client.send(POST)
        assert len(stub.seen) == 1
        issuer.clock.at_s += 2
        issuer.token_answer = issuer.token
        assert (await client.send(POST)).status == 200


@pytest.mark.parametrize(
    "content",
    [
        answer(200, b"{}"),
        answer(200, b'{"access_token":""}'),
        answer(200, b'{"access_token":7}'),
        answer(200, b'{"access_token":"a\\r\\nx: y"}'),
        answer(200, b'{"access_token":"a b"}'),
        answer(200, '{"access_token":"é"}'.encode()),
        answer(200, b'["access_token"]'),
        answer(200, b"<html>"),
        answer(200, b"[" * 10_000),
        answer(302, location="/elsewhere"),
        answer(401, b'{"error":"invalid_client"}'),
        None,
    ],
    ids=lambda content: repr(content)[-30:],
)
async def test_no_usable_token_is_no_response_without_the_secret(content: Answer) -> None:
    issuer = Issuer()
    issuer.token_answer = lambda: content
    async with issuer.calling() as (stub, client):
        with pytest.raises(NoResponse) as caught:
            await client.send(POST)
        assert "no access token" in str(caught.value)
        assert "s3cret" not in str(caught.value)
        assert len(stub.seen) == 1


async def test_a_cancelled_caller_does_not_take_the_renewal_with_it() -> None:
    issuer, asked, release = Issuer(), asyncio.Event(), asyncio.Event()

    async def slow(seen: Seen) -> Answer:
        if seen.target == "/token":
            asked.set()
            await release.wait()
        return issuer(seen)

    async with Stub(slow) as stub:
        credentials = ClientCredentials("me", "s3cret", f"{stub.url}/token")
        client = HttpDownstream(ServiceAddresses.of(stack_url=stub.url), credentials=credentials, clock=issuer.clock)
        first, second = asyncio.ensure_future(client.send(POST)), asyncio.ensure_future(client.send(POST))
        await asked.wait()
        first.cancel()
        release.set()
        assert (await second).status == 200
        assert issuer.issued == 1
        await client.close()


def test_credentials_do_not_show_their_secret() -> None:
    assert "s3cret" not in repr(ClientCredentials("me", "s3cret", "http://h/token"))
    with pytest.raises(InvalidValue):
        ClientCredentials("me", "", "http://h/token")


async def test_a_token_without_lifetime_is_used_until_it_is_refused() -> None:
    issuer = Issuer()
    issuer.lifetime = "null"
    async with issuer.calling() as (stub, client):
        await client.send(POST)
        issuer.clock.at_s += 10**9
        await client.send(POST)
        assert tokens_used(stub) == ["Bearer t1"] * 2
