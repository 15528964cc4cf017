"""The error tree: one base, and one class per way that a caller would react.

ClientError
|- Error              the server refused the request: code, message, status
|- SDKError           a response that the operation does not define: status, body
|- ConnectionFailure  no response: network trouble or a time-out
|- InvalidRequest     the arguments are invalid; nothing was sent
`- WaitTimeout        the instance was still running when the time-out of `wait_for` passed
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from headrace_client.models import WorkflowInstance


class ClientError(Exception):
    """Base of every error of this package.

    `idempotency_key` is the key that the failed write carried (None for reads). A repeat with the same key takes
    effect once, whether or not the first attempt succeeded.
    """

    idempotency_key: str | None = None

    def __reduce__(self) -> tuple[Any, ...]:
        """Support copies and pickling, because the constructors take more than the message."""
        return _restored, (type(self), self.args), self.__dict__


def _restored(kind: type[ClientError], texts: tuple[Any, ...]) -> ClientError:
    return kind.__new__(kind, *texts)


class Error(ClientError):
    """A refusal by the server: `code` (VALIDATION, NOT_FOUND, INTERNAL), `message`, HTTP `status`."""

    def __init__(self, code: str, message: str, status: int, headers: Mapping[str, str], body: bytes) -> None:
        super().__init__(f"{code}: {message} (HTTP {status})")
        self.code = code
        self.message = message
        self.status = status
        self.status_code = status
        self.headers = headers
        self.body = body


class SDKError(ClientError):
    """Another 4XX or 5XX, or a response that the operation does not define: `status`, `headers`, `body`.

    `message` is the text without the suggested remedy.
    """

    def __init__(self, message: str, status: int, headers: Mapping[str, str], body: bytes, *, advice: str = "") -> None:
        super().__init__(message + advice)
        self.message = message
        self.status = status
        self.status_code = status
        self.headers = headers
        self.body = body


class ConnectionFailure(ClientError):
    """No response. `is_timeout` tells a time-out from other trouble, `is_unsent` if the request certainly never left.

    `message` is the text without the suggested remedy.
    """

    def __init__(self, message: str, *, advice: str = "", is_timeout: bool, is_unsent: bool) -> None:
        super().__init__(message + advice)
        self.message = message
        self.is_timeout = is_timeout
        self.is_unsent = is_unsent


class InvalidRequest(ClientError, ValueError):
    """The arguments do not form a valid request. Nothing was sent."""


class WaitTimeout(ClientError):
    """The time-out of `wait_for` passed. `instance` is its last state; the instance continues."""

    def __init__(self, instance: WorkflowInstance, timeout_s: float) -> None:
        stage = instance.current_stage
        place = "between stages" if stage is None else f"in stage {stage}"
        super().__init__(f"instance {instance.id} is still running ({place}) after {timeout_s:g} s")
        self.instance = instance
        self.timeout_s = timeout_s
