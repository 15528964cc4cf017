# Generated from _async/calls.py by `make client`: change that file.
"""The call of an operation below `/ext`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

from headrace_client._sync.driver import Driver
from headrace_client.models import Result
from headrace_client.operations import Operation
from headrace_client.options import CallOptions, WriteOptions, complete

T = TypeVar("T")


class Calls:
    """Calls operations by a driver."""

    def __init__(self, driver: Driver) -> None:
        self._driver = driver

    def _call(
        self,
        operation: Operation[T],
        request: object,
        arguments: Mapping[str, object],
        options: CallOptions | WriteOptions,
    ) -> Result[T]:
        return self._driver.run(self._driver.protocol.call(operation, request, arguments, complete(options)))
