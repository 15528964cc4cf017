"""`link()` to services in this process: the sandbox of `headrace dev` is called directly, without the network."""

from __future__ import annotations

import asyncio
from typing import Any, get_args

from headrace.effects.port import Downstream, NoResponse, Request
from headrace.triggers.expressions import Fetch, LinkRefused
from headrace.triggers.link_data import link_data
from headrace.workflows.activities import Service

TIMEOUT_S = 5.0
_SERVICES: tuple[Service, ...] = get_args(Service)


class LoopbackLinks:
    """Sends links to `url`, `/api/`, a service and a slash to `downstream`, all others to `elsewhere`."""

    def __init__(self, url: str, downstream: Downstream, elsewhere: Fetch) -> None:
        self._prefixes: dict[str, Service] = {f"{url}/api/{service}": service for service in _SERVICES}
        self._downstream = downstream
        self._elsewhere = elsewhere

    async def fetch(self, uri: str, /) -> Any:
        """Fetch a resource, without its `data` wrapper if it has one. Raises LinkRefused."""
        for prefix, service in self._prefixes.items():
            path = uri.removeprefix(prefix)
            if path != uri and path.startswith("/"):
                request = Request(service, "GET", path.partition("#")[0])
                break
        else:
            return await self._elsewhere(uri)

        try:
            async with asyncio.timeout(TIMEOUT_S):
                response = await self._downstream.send(request)
                if response.status != 200:
                    raise LinkRefused(f"the response has status {response.status}")
                if not response.headers.get("content-type", "").startswith("application/json"):
                    raise LinkRefused("the response is not JSON")
                return link_data(response.body)
        except TimeoutError:
            raise LinkRefused(f"no answer within {TIMEOUT_S:g} s") from None
        except NoResponse:
            raise LinkRefused("no usable answer (the connection was closed)") from None
