"""The call of an operation below `/ext`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

from headrace_client._async.driver import AsyncDriver
from headrace_client.models import Result
from headrace_client.operations import Operation
from headrace_client.options import CallOptions, WriteOptions, complete

T = TypeVar("T")


class AsyncCalls:
    """Calls operations by a driver."""

    def __init__(self, driver: AsyncDriver) -> None:
        self._driver = driver

    async def _call(
        self,
        operation: Operation[T],
        request: object,
        arguments: Mapping[str, object],
        options: CallOptions | WriteOptions,
    ) -> Result[T]:
        return await self._driver.run(self._driver.protocol.call(operation, request, arguments, complete(options)))
