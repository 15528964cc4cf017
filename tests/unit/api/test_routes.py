"""Routes: which route a path finds, and with which parameters."""

from __future__ import annotations

from typing import Any

import pytest

from headrace.api.app import TABLE
from headrace.api.operations import Operation
from headrace.api.routes import Routes

ROUTES = Routes(TABLE)


@pytest.mark.parametrize(
    ("path", "template", "params"),
    [
        ("/", "/", {}),
        ("/workflows", "/workflows", {}),
        ("/workflows/w", "/workflows/{flowId}", {"flowId": "w"}),
        ("/workflows/w/instances", "/workflows/{workflowID}/instances", {"workflowID": "w"}),
        ("/workflows/{}/instances", "/workflows/{workflowID}/instances", {"workflowID": "{}"}),
        ("/workflows/workflows", "/workflows/{flowId}", {"flowId": "workflows"}),
        (
            "/v2/instances/i/stages/0/history",
            "/v2/instances/{instanceID}/stages/{number}/history",
            {"instanceID": "i", "number": "0"},
        ),
        ("/ext/events/set-aside", "/ext/events/set-aside", {}),
    ],
)
def test_a_path_finds_its_route(path: str, template: str, params: dict[str, str]) -> None:
    route, found = ROUTES.find(path)
    assert (None if route is None else route.path) == template
    assert found == params


@pytest.mark.parametrize(
    "path",
    [
        *("", "*", "workflows", "//", "/nowhere", "/workflows/", "/workflows//instances", "/workflows/w/instances/i"),
        *("/v2", "/{}", "/ext", "/instances/i/stages", "/workflows\n", "/None"),
    ],
)
def test_other_paths_find_none(path: str) -> None:
    assert ROUTES.find(path) == (None, {})


def test_every_row_of_the_table_is_found_by_its_method() -> None:
    for operation in TABLE:
        route, _ = ROUTES.find(operation.path.replace("{", "a").replace("}", "b"))
        assert route is not None and route.operations[operation.method] is operation
        assert ("HEAD" in route.operations) == ("GET" in route.operations)


def test_a_literal_beside_a_parameter_is_refused() -> None:
    async def handler(*_: Any) -> Any: ...

    def row(path: str) -> Operation:
        return Operation(method="GET", path=path, operation_id="x", scope=None, handler=handler, tag="", summary="")

    for paths in (["/a/{id}", "/a/b"], ["/a/b", "/a/{id}"]):
        with pytest.raises(AssertionError, match="a literal beside a parameter"):
            Routes(row(path) for path in paths)
