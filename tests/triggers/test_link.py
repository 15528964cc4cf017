"""Where `link()` goes and where it does not: a canary listens on this machine and must hear nothing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
import pytest_asyncio

from headrace.errors import InvalidValue
from headrace.triggers.expressions import LinkRefused
from headrace.triggers.link import MAX_AT_ONCE, Linker, Origin, is_private, is_public, origins_of

OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s"


def answering(body: bytes) -> bytes:
    return OK % (len(body), body)


@dataclass
class Canary:
    """A listener that counts connections and keeps what it was sent."""

    port: int = 0
    answer: bytes = answering(b'{"data":{"role":"admin"}}')
    delay_s: float = 0.0
    connections: int = 0
    requests: list[bytes] = field(default_factory=list[bytes])

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            self.requests.append(await reader.readuntil(b"\r\n\r\n"))
            await asyncio.sleep(self.delay_s)
            writer.write(self.answer)
            await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


@pytest_asyncio.fixture
async def canary() -> AsyncIterator[Canary]:
    made = Canary()
    server = await asyncio.start_server(made.serve, "127.0.0.1", 0)
    made.port = server.sockets[0].getsockname()[1]
    yield made
    server.close()
    await server.wait_closed()


def linker(*urls: str, **options: Any) -> Linker:
    return Linker(origins_of(urls, "HEADRACE_LINK_ORIGINS"), **options)


def names(*answers: list[str]) -> Callable[[str, int], Any]:
    """A resolver whose answer changes at every look-up; the last one stays."""
    waiting = list(answers)

    async def resolve(host: str, port: int) -> list[str]:
        return waiting.pop(0) if len(waiting) > 1 else waiting[0]

    return resolve


LOCAL = [
    "http://127.0.0.1:{port}/x",
    "http://localhost:{port}/x",
    "http://LOCALHOST:{port}/x",
    "http://127.1:{port}/x",
    "http://127.0.1:{port}/x",
    "http://0:{port}/x",
    "http://0.0.0.0:{port}/x",
    "http://2130706433:{port}/x",
    "http://0x7f000001:{port}/x",
    "http://0x7f.1:{port}/x",
    "http://0177.0.0.1:{port}/x",
    "http://017700000001:{port}/x",
    "http://[::1]:{port}/x",
    "http://[::]:{port}/x",
    "http://[::ffff:127.0.0.1]:{port}/x",
    "http://[::ffff:7f00:1]:{port}/x",
    "http://[0:0:0:0:0:ffff:127.0.0.1]:{port}/x",
    "http://[::127.0.0.1]:{port}/x",
    "http://[64:ff9b::7f00:1]:{port}/x",
    "http://127.0.0.1.:{port}/x",
    "http://localhost.:{port}/x",
    "http://api.example.com@127.0.0.1:{port}/x",
    "http://api.example.com:80@127.0.0.1:{port}/x",
    "http://127.0.0.1:{port}#@api.example.com/",
    "http://127.0.0.1:{port}\\@api.example.com/x",
    "http://api.example.com\\@127.0.0.1:{port}/x",
    "http:127.0.0.1:{port}/x",
    "http:///127.0.0.1:{port}/x",
    "//127.0.0.1:{port}/x",
    "http://①②⑦.⓪.⓪.①:{port}/x",
    "http://127。0。0。1:{port}/x",
    "http://127.0.0.1%2f:{port}/x",
    "http://127.0.0.1:{port}\r\nHost: api.example.com/",
    " http://127.0.0.1:{port}/x",
    "http://api.example.com.127.0.0.1:{port}/x",
    "ftp://127.0.0.1:{port}/x",
    "file:///etc/hostname",
    "http://api.example.com:{port}/x",
    "https://api.example.com:0/x",
    "HTTP://api.example.com:{port}/x",
]


@pytest.mark.parametrize("spelling", LOCAL)
async def test_no_spelling_of_a_local_address_is_asked(canary: Canary, spelling: str) -> None:
    links = linker(
        "http://api.example.com", "https://api.example.com", authorize=None, resolve=names(["127.0.0.1"], ["::1"])
    )
    with pytest.raises(LinkRefused):
        await links.fetch(spelling.format(port=canary.port))
    assert canary.connections == 0


@pytest.mark.parametrize(
    "address",
    ["127.0.0.1", "127.9.9.9", "0.0.0.0", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1",
     "224.0.0.1", "255.255.255.255", "::1", "::", "fe80::1", "fe80::1%lo", "fc00::1", "::ffff:127.0.0.1",
     "::ffff:10.0.0.1",
     "64:ff9b::7f00:1", "2002:7f00:1::", "::7f00:1", "ff02::1", "192.0.2.1", "198.18.0.1", "240.0.0.1"],
)  # fmt: skip
async def test_no_name_on_the_list_leads_to_an_inner_address(canary: Canary, address: str) -> None:
    assert not is_public(address)
    origin = f"http://api.example.com:{canary.port}"
    for addresses in ([address], ["93.184.216.34", address]):
        links = linker(origin, resolve=names(addresses))
        with pytest.raises(LinkRefused, match="forbidden address"):
            await links.fetch(f"{origin}/x")
    assert canary.connections == 0


async def test_a_name_that_changes_between_look_ups_is_looked_up_once(canary: Canary) -> None:
    """The checked address is the one that is asked: public ones, like TEST-NET, where no host answers."""
    origin = f"http://rebind.example.com:{canary.port}"
    asked: list[str] = []

    async def resolve(host: str, port: int) -> list[str]:
        asked.append(host)
        return ["93.184.216.34"] if len(asked) % 2 else ["127.0.0.1"]

    links = linker(origin, resolve=resolve, timeout_s=0.2)
    for _ in range(4):
        with pytest.raises(LinkRefused):
            await links.fetch(f"{origin}/x")
    assert len(asked) == 4, "one look-up for each link"
    assert canary.connections == 0


def test_public_and_private_addresses() -> None:
    assert is_public("93.184.216.34") and is_public("2606:2800:220:1::1")
    assert is_private("10.0.0.1") and is_private("fd00::1")
    assert not any(map(is_private, ["127.0.0.1", "169.254.169.254", "::1", "0.0.0.0", "::ffff:127.0.0.1", "8.8.8.8"]))


async def test_a_listed_address_is_asked_and_its_data_unwrapped(canary: Canary) -> None:
    links = linker(canary.url)
    assert await links.fetch(f"{canary.url}/api/payments/accounts/1?a=b#c") == {"role": "admin"}
    assert canary.requests[0].startswith(b"GET /api/payments/accounts/1?a=b HTTP/1.1\r\n")
    assert b"authorization" not in canary.requests[0].lower()
    assert b"cookie" not in canary.requests[0].lower()
    canary.answer = answering(b'{"role":12345678901234567890123}')
    assert await links.fetch(canary.url) == {"role": 12345678901234567890123}


async def test_the_token_goes_to_the_stack_only(canary: Canary) -> None:
    async def authorize() -> str:
        return "Bearer secret"

    other = linker(canary.url, stack=Origin.of("https://stack.example.com"), authorize=authorize)
    await other.fetch(f"{canary.url}/x")
    assert b"secret" not in canary.requests[-1]
    own = Linker(frozenset(), stack=Origin.of(canary.url), authorize=authorize)
    await own.fetch(f"{canary.url}/x")
    assert b"authorization: bearer secret" in canary.requests[-1].lower()


async def test_a_redirect_is_not_followed(canary: Canary) -> None:
    canary.answer = b"HTTP/1.1 302 Found\r\nLocation: %s/again\r\nContent-Length: 0\r\n\r\n" % canary.url.encode()
    with pytest.raises(LinkRefused, match="302"):
        await linker(canary.url).fetch(f"{canary.url}/x")
    assert canary.connections == 1


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 404 Not Found\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 2\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Encoding: gzip\r\nContent-Length: 2\r\n\r\n{}",
        answering(b"{"),
        answering(b"[NaN]"),
        answering(b"[" * 100_000),
        answering(b'{"a":' + b"9" * 1_001 + b"}"),
        answering(b'{"data":{"role":"user","role":"admin"}}'),
        answering(b"[" * 65 + b"]" * 65),
        answering(b'"\\ud800"'),
        answering(b"\xff"),
        b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n{",
        answering(b'"' + b"x" * (1 << 20) + b'"'),
        b"",
        b"nonsense\r\n\r\n",
    ],
    ids=range(15),
)
async def test_an_answer_that_is_not_plain_json_is_refused(canary: Canary, answer: bytes) -> None:
    canary.answer = answer
    with pytest.raises(LinkRefused):
        await linker(canary.url).fetch(f"{canary.url}/x")


async def test_a_slow_answer_is_not_awaited(canary: Canary) -> None:
    canary.delay_s = 30
    with pytest.raises(LinkRefused, match="no answer within"):
        await linker(canary.url, timeout_s=0.1).fetch(f"{canary.url}/x")


@pytest.mark.parametrize("url", ["api.example.com", "ftp://x", "http://", "http://u:p@x", "http://x:99999", "http://é"])
def test_a_bad_origin_is_named_by_its_setting(url: str) -> None:
    with pytest.raises(InvalidValue, match="HEADRACE_LINK_ORIGINS"):
        origins_of([url], "HEADRACE_LINK_ORIGINS")


# many at once


async def test_an_origin_that_hangs_holds_up_no_other(canary: Canary) -> None:
    hung = Canary(delay_s=60.0)
    server = await asyncio.start_server(hung.serve, "127.0.0.1", 0)
    hung.port = server.sockets[0].getsockname()[1]
    links = linker(hung.url, canary.url, timeout_s=5.0)
    asked = [asyncio.ensure_future(links.fetch(f"{hung.url}/{number}")) for number in range(2 * MAX_AT_ONCE)]
    async with asyncio.timeout(4.0):
        while hung.connections < MAX_AT_ONCE:
            await asyncio.sleep(0.01)
        assert await links.fetch(f"{canary.url}/x") == {"role": "admin"}
    for task in asked:
        task.cancel()
    await asyncio.gather(*asked, return_exceptions=True)
    assert hung.connections == MAX_AT_ONCE
    server.close()


async def test_waiting_for_a_place_does_not_use_up_the_time_limit(canary: Canary) -> None:
    """Three rounds of two seconds take longer than the limit, and each of them by far not."""
    canary.delay_s = 2.0
    links = linker(canary.url, timeout_s=5.5)
    found = await asyncio.gather(*(links.fetch(f"{canary.url}/x") for _ in range(3 * MAX_AT_ONCE)))
    assert found == [{"role": "admin"}] * 3 * MAX_AT_ONCE
