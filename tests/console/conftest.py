"""A server with runs in every state, and what a page of its console is made of."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from tests.api.conftest import WAITING, Live, served

WORLD = {"account": {"id": "world", "ledger": "main"}}


def pays(source: Any, destination: str, amount: int = 2_500, asset: str = "EUR/2") -> dict[str, Any]:
    """A stage that sends money to an account."""
    target = {"account": {"id": destination, "ledger": "main"}}
    return {"send": {"source": source, "destination": target, "amount": {"amount": amount, "asset": asset}}}


@dataclass
class Parsed(HTMLParser):
    """The shape of a page: its elements with the names of their attributes; its text; where its links lead."""

    shape: list[tuple[str, tuple[str, ...]]] = field(default_factory=list[tuple[str, tuple[str, ...]]])
    links: list[str] = field(default_factory=list[str])
    text: str = ""

    def __post_init__(self) -> None:
        super().__init__()

    @classmethod
    def of(cls, page: str) -> Parsed:
        parsed = cls()
        parsed.feed(page)
        parsed.close()
        return parsed

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.shape.append((tag, tuple(name for name, _ in attrs)))
        self.links += [value or "" for name, value in attrs if name in ("href", "src", "action")]

    def handle_data(self, data: str) -> None:
        self.text += data


@dataclass
class Runs:
    """A server, and the ids of runs by their state."""

    live: Live
    ids: dict[str, str]

    async def page(self, path: str, status: int = 200) -> Parsed:
        """A page of the console, below `/console`."""
        response = await self.live.http.get(f"/console{path}")
        assert response.status_code == status, response.text
        assert response.headers["content-type"].startswith("text/html")
        return Parsed.of(response.text)

    async def run(self, name: str, query: str = "") -> Parsed:
        return await self.page(f"/runs/{self.ids[name]}{query}")


async def started(live: Live, definition: dict[str, Any], variables: dict[str, str] | None = None) -> str:
    return await live.started(await live.created(definition), variables or {})


@pytest.fixture
async def runs(tmp_path: Path) -> AsyncIterator[Runs]:
    async with served(tmp_path) as live:
        assert (await live.http.post("/api/ledger/v2/main", json={})).status_code == 204
        ids = {
            "succeeded": await started(live, {"name": "pay in", "stages": [pays(WORLD, "shop:1")]}, {"order": "A4102"}),
            "failed": await started(
                live,
                {
                    "name": "pay out",
                    "stages": [pays({"account": {"id": "empty", "ledger": "main"}}, "shop:2"), *WAITING["stages"]],
                },
                {"order": "A4103"},
            ),
            "waiting": await started(live, {"stages": [pays(WORLD, "held"), *WAITING["stages"]]}, {"order": "A4102"}),
            "aborted": await started(live, WAITING),
        }
        for name in ("succeeded", "failed"):
            await live.engine.ended(ids[name], 10)
        async with asyncio.timeout(10):
            while not (await live.call("GET", f"/instances/{ids['waiting']}/history")).json()["data"][1:]:
                await asyncio.sleep(0.01)
        response = await live.call("POST", f"/ext/instances/{ids['aborted']}/abort", {"reason": "the shop has closed"})
        assert response.status_code == 204, response.text
        yield Runs(live, ids)
