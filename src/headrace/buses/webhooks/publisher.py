"""Publish events as signed HTTP POSTs: one publisher per endpoint of the operator's file.

Signatures follow Standard Webhooks; the same three values are also sent under the Orchestration API's names. Any
response but 2xx, or none, is retried later. The receiver recognizes a repeat by its id.
"""

from __future__ import annotations

import base64
import contextlib
import hmac
from collections.abc import Sequence
from hashlib import sha256

import aiohttp
import yarl

from headrace.buses.port import BusUnavailable, Publication, PublicationRefused
from headrace.buses.webhooks.endpoints import Endpoint
from headrace.clock import Clock

TIMEOUT_S = 10.0
PAGE = 20
"""Publications per page, sent one after another: a crash repeats at most so many."""
KEEP_ALIVE_S = 4.0
"""Seconds; shorter than servers keep an idle connection, because a request on a closed one needs a second attempt."""
MAX_ANSWER_BYTES = 64 << 10


# signing


def signature(key: bytes, webhook_id: str, timestamp: str, body: bytes) -> str:
    signed = f"{webhook_id}.{timestamp}.".encode() + body
    return "v1," + base64.b64encode(hmac.digest(key, signed, sha256)).decode()


def headers_of(publication: Publication, key: bytes, now_at: int) -> dict[str, str]:
    """Headers of one attempt. The timestamp is the attempt's, so that a receiver may refuse old ones; the id stays."""
    timestamp = str(now_at // 1_000_000)
    signed = {
        "webhook-id": publication.id,
        "webhook-timestamp": timestamp,
        "webhook-signature": signature(key, publication.id, timestamp, publication.body),
    }
    return {
        "Content-Type": "application/json",
        "Idempotency-Key": publication.id,
        **signed,
        **{f"formance-{name}": value for name, value in signed.items()},
        **publication.headers,
    }


# the publisher


class Webhook:
    """Implements `buses.port.Publisher` for one endpoint. Sends and checks nothing before the first event."""

    def __init__(self, endpoint: Endpoint, clock: Clock, *, timeout_s: float = TIMEOUT_S) -> None:
        self._endpoint = endpoint
        self._url = yarl.URL(endpoint.url, encoded=True)
        self._clock = clock
        self._timeout_s = timeout_s
        self._opened: aiohttp.ClientSession | None = None
        self._taken: set[str] = set()
        """Publications of a failed batch that the endpoint accepted, so that the retry continues after them."""

    @property
    def name(self) -> str:
        return self._endpoint.publisher

    @property
    def page(self) -> int:
        return PAGE

    def wants(self, kind: str) -> bool:
        return kind in self._endpoint.types

    async def publish(self, publications: Sequence[Publication]) -> None:
        if len(publications) == 1:  # such as a dead letter, between two attempts at a batch of the relay
            await self._post(publications[0])
            return
        self._taken &= {publication.id for publication in publications}
        for publication in publications:
            if publication.id not in self._taken:
                await self._post(publication)
                self._taken.add(publication.id)
        self._taken.clear()

    async def close(self) -> None:
        if self._opened is not None:
            await self._opened.close()
            self._opened = None

    async def _post(self, publication: Publication) -> None:
        headers = headers_of(publication, self._endpoint.key, self._clock.now_at())
        try:
            if self._opened is None:
                self._opened = aiohttp.ClientSession(
                    connector=aiohttp.TCPConnector(limit=1, keepalive_timeout=KEEP_ALIVE_S),
                    cookie_jar=aiohttp.DummyCookieJar(),
                    timeout=aiohttp.ClientTimeout(total=self._timeout_s),
                    headers={"User-Agent": "headrace", "Accept-Encoding": "identity"},
                    auto_decompress=False,
                    trust_env=False,
                )
            async with self._opened.post(
                self._url, data=publication.body, headers=headers, allow_redirects=False
            ) as response:
                status = response.status
                await _discard(response)
        except TimeoutError:
            raise self._failure(f"no answer within {self._timeout_s:g} s") from None
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise self._failure(_kind(error)) from None
        if status in _ITS_OWN:
            raise PublicationRefused(publication.id, f"webhook {self._endpoint.label}: answered {status}")
        if not 200 <= status < 300:
            raise self._failure(f"answered {status}{_REMARKS.get(status // 100, '')}")

    def _failure(self, reason: str) -> BusUnavailable:
        return BusUnavailable(f"webhook {self._endpoint.label}: {reason}")


_ITS_OWN = frozenset({400, 409, 413, 422, 500})
"""Statuses that may concern this event alone; any other failure is the endpoint's."""
_REMARKS = {3: ", a redirect, which is not followed"}


async def _discard(response: aiohttp.ClientResponse) -> None:
    """Read a short response, only so that its connection can be reused."""
    size = 0
    with contextlib.suppress(aiohttp.ClientError, OSError):  # a time-out is an OSError
        while part := await response.content.readany():
            size += len(part)
            if size > MAX_ANSWER_BYTES:
                break
        else:
            return
    response.close()


def _kind(error: Exception) -> str:
    """Describe an error without its URL."""
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return "its host name cannot be resolved"
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        return "its certificate is not trusted"
    if isinstance(error, aiohttp.ClientConnectorSSLError):
        return "no TLS connection could be made"
    if isinstance(error, aiohttp.ClientConnectorError):
        return f"cannot connect ({error.os_error.strerror or type(error.os_error).__name__})"
    if isinstance(error, aiohttp.ServerDisconnectedError | ConnectionError | aiohttp.ClientOSError):
        return "the connection was closed without an answer"
    return f"no usable answer ({type(error).__name__})"
