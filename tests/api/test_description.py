"""Requests made from the description get the answers the description promises."""

from __future__ import annotations

from typing import Any

import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis.specs.openapi.checks import positive_data_acceptance

from tests.support.server import Server


def test_requests_made_from_the_description_are_answered_as_described(shared_server: Server) -> None:
    schema = schemathesis.openapi.from_url(f"{shared_server.url}/openapi.json")
    operations: list[Any] = [result.ok() for result in schema.get_all_operations()]  # pyright: ignore[reportAttributeAccessIssue]
    assert len(operations) > 12

    @given(st.data())
    @settings(
        max_examples=200,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
        database=None,
    )
    def ask(data: st.DataObject) -> None:
        operation: Any = data.draw(st.sampled_from(operations))
        case = data.draw(operation.as_strategy())
        case.call_and_validate(base_url=shared_server.url, excluded_checks=[positive_data_acceptance])

    ask()
