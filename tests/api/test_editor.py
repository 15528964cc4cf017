"""What an editor is served."""

from __future__ import annotations

import jsonschema_rs
import pytest

from headrace.api.editor_schema import PATH
from headrace.workflows.schema import workflow_schema
from tests.api.conftest import PREFIX, Live

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.mark.parametrize("prefix", ["", PREFIX])
async def test_the_schema_is_served_to_everybody(shared: Live, prefix: str) -> None:
    reply = await shared.http.get(prefix + PATH)
    assert reply.status_code == 200
    assert reply.headers["content-type"] == "application/schema+json"
    assert reply.headers["access-control-allow-origin"] == "*"
    assert reply.json() == workflow_schema()
    jsonschema_rs.Draft202012Validator(reply.json())


async def test_a_refusal_names_the_rules_as_the_schema_and_the_command_line_do(shared: Live) -> None:
    text = "stages:\n  - delay: {}\n  - wait_event: {event: x, 'a b': 1}\n"
    reply = await shared.http.post(
        PREFIX + "/workflows", content=text.encode(), headers={"content-type": "application/yaml"}
    )
    assert reply.status_code == 400
    found = [(each["path"], each["rule"], each["line"], each["column"]) for each in reply.json()["details"]]
    assert found == [
        ("stages[0].delay", "exactly-one", 2, 5),
        ("stages[1].wait_event.'a b'", "unknown-key", 3, 28),
    ]
