"""The official Python SDK on a server that checks tokens: it gets in with them, and reads the refusals without."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from formance_sdk_python import SDK
from formance_sdk_python.models import orchestration, shared

from tests.conformance.conftest import Guarded, Walker
from tests.conformance.test_operations import test_every_operation as every_operation

MakeSdk = Callable[..., SDK]


@pytest.fixture
def make_sdk(guarded: Guarded, walker: Walker) -> MakeSdk:
    def make(security: shared.Security | None = None) -> SDK:
        return SDK(server_url=guarded.server.url, security=security, client=walker.client, timeout_ms=30_000)

    return make


def test_every_operation_where_tokens_are_checked(make_sdk: MakeSdk, guarded: Guarded, walker: Walker) -> None:
    security = shared.Security(client_id=guarded.client_id, client_secret=guarded.client_secret)
    every_operation(make_sdk(security), walker)
    assert walker.paths.count("/api/auth/oauth/token") == 2, "one for reads, one for writes"


@pytest.mark.parametrize("security", [None, shared.Security(client_id="dev")], ids=["none", "half"])
def test_without_a_token_it_reads_why(make_sdk: MakeSdk, security: shared.Security | None) -> None:
    with pytest.raises(orchestration.Error) as caught:
        make_sdk(security).orchestration.v1.list_workflows()
    assert caught.value.status_code == 401
    assert caught.value.data.error_code == "VALIDATION"
    assert "token" in (caught.value.data.error_message or "")


def test_with_a_wrong_secret_it_gets_no_token(make_sdk: MakeSdk, guarded: Guarded) -> None:
    security = shared.Security(client_id=guarded.client_id, client_secret="wrong")
    with pytest.raises(Exception, match="401 from token endpoint"):
        make_sdk(security).orchestration.v1.list_workflows()
