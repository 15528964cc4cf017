"""Requests at the edges of HTTP and JSON: Host, byte order marks, ids in capitals, `/`, `/versions`."""

from __future__ import annotations

import asyncio

import pytest
from formance_sdk_python import SDK

from tests.api.conftest import PREFIX, WAITING, Live

MARK = b"\xef\xbb\xbf"


async def raw(live: Live, *heads: bytes) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", live.port)
    writer.write(b"".join(heads))
    await writer.drain()
    writer.write_eof()
    answer = await reader.read()
    writer.close()
    return answer


@pytest.mark.parametrize(
    "head",
    [
        b"GET /livez HTTP/1.1\r\n\r\n",
        b"GET http://127.0.0.1/livez HTTP/1.1\r\n\r\n",
        b"GET /livez HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n",
        b"GET /livez HTTP/1.0\r\nHost: localhost\r\nhost: localhost\r\n\r\n",
        b"POST /workflows HTTP/1.1\r\nContent-Length: 2\r\n\r\n{}",
    ],
)
async def test_a_request_has_one_host(live: Live, head: bytes) -> None:
    answer = await raw(live, head, b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 400 ") and b"Host" in answer.partition(b"\r\n\r\n")[2]
    assert answer.count(b"HTTP/1.1 ") == 1, "nothing after it is answered"


@pytest.mark.parametrize(
    ("target", "host", "status"),
    [
        (b"http://localhost/livez", b"localhost", b"200"),
        (b"HTTP://LocalHost:84/livez", b"localhost:84", b"200"),
        (b"http://evil.example/livez", b"localhost", b"400"),
        (b"http://localhost@evil.example/livez", b"localhost", b"400"),
        (b"http://localhost/livez", b"evil.example", b"400"),
        (b"http://evil.example?/livez", b"localhost", b"400"),
        (b"http://evil.example/livez", b"evil.example", b"403"),
    ],
)
async def test_a_target_that_is_a_url_is_of_the_host(live: Live, target: bytes, host: bytes, status: bytes) -> None:
    answer = await raw(live, b"GET " + target + b" HTTP/1.1\r\nHost: " + host + b"\r\nConnection: close\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 " + status)


async def test_http_1_0_needs_no_host(live: Live) -> None:
    assert (await raw(live, b"GET /livez HTTP/1.0\r\n\r\n")).startswith(b"HTTP/1.1 200 ")


async def test_a_byte_order_mark_is_passed_over(live: Live) -> None:
    body = b'{"stages":[{"wait_event":{"event":"go"}}]}'
    for media_type in ("application/json", "application/yaml"):
        headers = {"content-type": media_type}
        response = await live.http.post(f"{PREFIX}/workflows", content=MARK + body, headers=headers)
        assert response.status_code == 201, response.text
    response = await live.http.post(f"{PREFIX}/workflows", content=MARK + MARK + body)
    assert response.status_code == 400, "one mark, not two"


async def test_ids_in_capitals_are_the_same_ids(live: Live) -> None:
    workflow_id = await live.created(WAITING)
    instance_id = await live.started(workflow_id.upper())
    trigger = await live.call("POST", "/triggers", {"event": "E", "workflowID": workflow_id.upper()})
    assert trigger.json()["data"]["workflowID"] == workflow_id
    trigger_id = trigger.json()["data"]["id"]
    for version in ("", "/v2"):
        for path in (
            f"/workflows/{workflow_id.upper()}",
            f"/instances/{instance_id.upper()}",
            f"/instances/{instance_id.upper()}/history",
            f"/instances/{instance_id.upper()}/stages/0/history",
            f"/triggers/{trigger_id.upper()}",
            f"/triggers/{trigger_id.upper()}/occurrences",
        ):
            assert (await live.http.get(PREFIX + version + path)).status_code == 200, path
    listed = await live.http.get(f"{PREFIX}/instances?workflowID={workflow_id.upper()}")
    assert [each["id"] for each in listed.json()["data"]] == [instance_id]
    page = await live.http.get(f"{PREFIX}/v2/instances?workflowID={workflow_id.upper()}")
    assert [each["id"] for each in page.json()["cursor"]["data"]] == [instance_id]
    audit = await live.http.get(f"{PREFIX}/ext/audit?target={instance_id.upper()}")
    assert len(audit.json()["data"]) == 1


async def test_the_root_leads_a_browser_to_the_console_and_others_to_the_docs(live: Live) -> None:
    browser = {"accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
    response = await live.http.get("/", headers=browser)
    assert (response.status_code, response.headers["location"]) == (307, "console/")
    shown = await live.http.get("/", headers=browser, follow_redirects=True)
    assert shown.status_code == 200 and shown.url.path == "/console/"
    response = await live.http.get("/")
    assert (response.status_code, response.headers["location"]) == (307, "docs")
    followed = await live.http.get("/", follow_redirects=True)
    assert followed.status_code == 200 and followed.url.path == "/docs"


async def test_versions_are_read_by_the_official_sdk(live: Live) -> None:
    sdk = SDK(server_url=f"http://127.0.0.1:{live.port}")
    found = (await asyncio.to_thread(sdk.get_versions)).get_versions_response
    assert found is not None
    assert [(each.name, each.health) for each in found.versions] == [("orchestration", True)]
    assert found.versions[0].version == (await live.http.get(f"{PREFIX}/_info")).json()["version"]
