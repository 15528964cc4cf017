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
    response = await shared.http.get(prefix + PATH)
    assert response.status_code == 200
    assert response.headers["content-type"] == "application/schema+json"
    assert response.headers["access-control-allow-origin"] == "*"
    assert response.json() == workflow_schema()
    jsonschema_rs.Draft202012Validator(response.json())


async def test_a_refusal_names_the_rules_as_the_schema_and_the_command_line_do(shared: Live) -> None:
    text = "stages:\n  - delay: {}\n  - wait_event: {event: x, 'a b': 1}\n"
    response = await shared.http.post(
        PREFIX + "/workflows", content=text.encode(), headers={"content-type": "application/yaml"}
    )
    assert response.status_code == 400
    found = [(each["path"], each["rule"], each["line"], each["column"]) for each in response.json()["details"]]
    assert found == [
        ("stages[0].delay", "exactly-one", 2, 5),
        ("stages[1].wait_event.'a b'", "unknown-key", 3, 28),
    ]
