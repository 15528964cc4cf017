"""What stands around the operations: probes, metrics, the description and its page, tokens, routes."""

from __future__ import annotations

import asyncio
import re
from html.parser import HTMLParser
from typing import Any

import httpx2
import pytest
from prometheus_client.parser import text_string_to_metric_families

from headrace.api.app import TABLE
from headrace.errors import Unavailable
from tests.api.conftest import PREFIX, SHORT, WAITING, Live
from tests.conformance.wire import OPERATIONS


@pytest.mark.parametrize("path", ["/livez", "/readyz", "/_healthcheck", f"{PREFIX}/_healthcheck"])
async def test_probes(live: Live, path: str) -> None:
    response = await live.http.get(path)
    assert (response.status_code, response.json()) == (200, {"status": "ok"})


async def test_probes_when_the_journal_cannot_commit(live: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    async def check() -> None:
        raise Unavailable("the disk is full")

    monkeypatch.setattr(live.journal, "check", check)
    assert (await live.http.get("/readyz")).status_code == 503
    refusal = {"errorCode": "INTERNAL", "errorMessage": "the disk is full"}
    assert (await live.http.get("/readyz")).json() == refusal
    assert (await live.http.get("/_healthcheck")).status_code == 503
    assert (await live.http.get("/livez")).status_code == 200


async def test_a_journal_that_does_not_answer_is_not_ready(live: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    async def check() -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(live.journal, "check", check)
    monkeypatch.setattr("headrace.api.probes.HEALTH_TIMEOUT_S", 0.01)
    assert (await live.http.get("/readyz")).status_code == 503


async def metrics_of(live: Live) -> tuple[httpx2.Response, dict[tuple[str, tuple[str, ...]], float]]:
    """The response, and its values by name and labels."""
    response = await live.http.get("/metrics")
    return response, {
        (sample.name, tuple(sorted(sample.labels.values()))): sample.value
        for family in text_string_to_metric_families(response.text)
        for sample in family.samples
    }


async def test_metrics(live: Live) -> None:
    await live.ended(await live.started(await live.created(SHORT)))
    await live.http.get(f"{PREFIX}/nowhere/{'x' * 20}")
    response, found = await metrics_of(live)
    async with asyncio.timeout(10):  # the journal shows the end a moment before the engine hears of its commit
        while found["headrace_instances_ended_total", ("succeeded",)] != 1:
            response, found = await metrics_of(live)
    assert response.headers["content-type"].startswith("text/plain; version=0.0.4")
    assert found["headrace_instances_running", ()] == 0
    assert found["headrace_http_requests_total", ("/workflows", "201", "POST")] == 1
    assert found["headrace_http_requests_total", ("(unknown)", "404", "GET")] == 1
    assert found["headrace_commit_units_count", ()] >= 2
    assert found["headrace_http_requests_total", ("/workflows", "503", "POST")] == 0
    assert ("headrace_http_requests_total", ("(unknown)", "503", "GET")) not in found
    assert "xxx" not in response.text  # a path as it came is never a label


@pytest.mark.parametrize("path", ["/api/auth/oauth/token", "/oauth/token"])
@pytest.mark.parametrize("form", [{}, {"grant_type": "client_credentials", "client_id": "a", "client_secret": "b"}])
async def test_tokens_for_everyone(live: Live, path: str, form: dict[str, str]) -> None:
    response = await live.http.post(path, data=form)
    granted = response.json()
    assert response.status_code == 200
    assert granted["token_type"] == "bearer"
    assert type(granted["expires_in"]) is int
    assert granted["expires_in"] > 60
    assert granted["access_token"]
    headers = {"authorization": f"Bearer {granted['access_token']}"}
    assert (await live.call("GET", "/workflows", headers=headers)).status_code == 200


async def test_unknown_routes_and_methods(live: Live) -> None:
    for path in (
        "/nothing",
        f"{PREFIX}",
        f"{PREFIX}/",
        f"{PREFIX}x/workflows",
        "/workflows/a/b",
        "/triggers/a/b",
        "/v3/workflows",
        "/v2",
    ):
        response = await live.http.get(path)
        assert (response.status_code, response.json()["errorCode"]) == (404, "NOT_FOUND"), path
    response = await live.http.patch(f"{PREFIX}/workflows")
    assert (response.status_code, response.json()["errorCode"]) == (405, "VALIDATION")
    assert sorted(response.headers["allow"].split(", ")) == ["GET", "HEAD", "POST"]
    assert (await live.http.options("/workflows")).status_code == 405


async def test_a_slash_at_the_end_changes_nothing(live: Live) -> None:
    assert (await live.http.get(f"{PREFIX}/workflows/")).json() == {"data": []}
    response = await live.http.post("/workflows/", json=WAITING)
    assert response.status_code == 201


async def test_head_is_get_without_the_body(live: Live) -> None:
    response = await live.http.head("/workflows")
    whole = await live.http.get("/workflows")
    assert (response.status_code, response.content) == (200, b"")
    assert response.headers["content-length"] == str(len(whole.content))
    assert (await live.http.head("/instances/nobody")).status_code == 404


async def test_the_sandbox_beside_the_api_is_reached(live: Live) -> None:
    assert (await live.http.get("/api/ledger/v2/nothing/transactions")).status_code in (400, 404)
    assert (await live.http.get("/api/ledger/nothing")).status_code == 404


async def test_what_goes_wrong_inside_stays_inside(live: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    async def fail(workflow_id: str) -> Any:
        raise RuntimeError("secret detail")

    monkeypatch.setattr(live.journal, "workflow", fail)
    response = await live.call("GET", "/workflows/x")
    assert (response.status_code, response.json()["errorCode"]) == (500, "INTERNAL")
    assert "secret" not in response.text


async def test_a_list_that_breaks_off_does_not_look_whole(live: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    row = await live.journal.workflow(await live.created(WAITING))
    assert row is not None

    async def pages() -> Any:
        yield [row]
        yield [row]
        raise RuntimeError("the disk went away")

    monkeypatch.setattr(live.journal, "workflows", pages)
    with pytest.raises(Exception, match=r"(?i)incomplete|peer closed"):
        await live.http.get("/workflows")


# the description


async def test_the_description_has_every_operation_with_its_scope(live: Live) -> None:
    described = (await live.http.get("/openapi.json")).json()
    found = {
        row["operationId"]: (method.upper(), path, row)
        for path, methods in described["paths"].items()
        for method, row in methods.items()
    }
    assert set(OPERATIONS) < set(found)
    assert len(found) == len(TABLE)
    for operation_id, operation in OPERATIONS.items():
        method, path, row = found[operation_id]
        assert operation.method == method
        assert operation.path.fullmatch(path)
        assert str(operation.status) in row["responses"]
        wanted = "orchestration:read" if method == "GET" else "orchestration:write"
        assert row["x-required-scopes"] == [wanted]
        assert row["security"] == [{"Authorization": [wanted]}]
        for status in ("400", "413", "415", "503") if method in ("POST", "PUT") else ():
            assert status in row["responses"], (operation_id, status)
    assert {"application/json", "application/yaml"} == set(found["createWorkflow"][2]["requestBody"]["content"])
    assert "WorkflowConfig" in described["components"]["schemas"]


async def test_every_route_is_described(live: Live) -> None:
    described = (await live.http.get("/openapi.json")).json()
    routes = set(live.app.routes.by_path)
    assert routes == set(described["paths"])
    assert {"/docs", "/openapi.json"} < routes


async def test_every_reference_leads_somewhere(live: Live) -> None:
    response = await live.http.get(f"{PREFIX}/openapi.json")
    described = response.json()
    for reference in set(re.findall(r'"\$ref":"#/([^"]+)"', response.text)):
        at: Any = described
        for step in reference.split("/"):
            at = at[step]


class _Page(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.open: list[str] = []
        self.anchors: set[str] = set()
        self.links: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        if tag != "meta":
            self.open.append(tag)
        for name, value in attrs:
            if name == "id":
                assert value not in self.anchors
                self.anchors.add(value or "")
            if name in ("href", "src"):
                self.links.append(value or "")
            assert not name.startswith("on")
            assert name != "style"

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


async def test_the_page_is_complete_and_fetches_nothing(live: Live) -> None:
    response = await live.http.get("/docs")
    page = _Page()
    page.feed(response.text)
    assert page.open == []
    assert not {"script", "img", "link", "iframe", "object"} & set(page.tags)
    for link in page.links:
        assert link == "openapi.json" or link.removeprefix("#") in page.anchors, link
    for operation_id, operation in OPERATIONS.items():
        assert f"operation-{operation_id}" in page.anchors
        assert operation.method in response.text
    policy = response.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy


async def test_the_page_has_v1_first_and_code_as_code(live: Live) -> None:
    text = (await live.http.get("/docs")).text
    workflows = text[text.index("<main>") :].partition("<h2>Instances</h2>")[0]
    paths = re.findall(r"</span><code>(/[^<]*)</code>", workflows)
    assert paths == sorted(paths, key=lambda path: path.startswith("/v2/")) and "/v2/workflows" in paths
    assert "`" not in re.sub("<pre>.*?</pre>", "", text, flags=re.DOTALL)
    assert "<code>next</code> or <code>previous</code> of a page" in text


async def test_the_page_may_use_its_own_style_only(live: Live) -> None:
    from base64 import b64encode
    from hashlib import sha256

    response = await live.http.get("/docs")
    (style,) = re.findall("<style>(.*?)</style>", response.text, re.DOTALL)
    digest = b64encode(sha256(style.encode()).digest()).decode()
    assert f"style-src 'sha256-{digest}'" in response.headers["content-security-policy"]
    assert "url(" not in style
    assert "@import" not in style
