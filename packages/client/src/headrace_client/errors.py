"""The error tree: one base, one class per thing a caller would do differently.

ClientError
|- Error              the server said no and why: code, message, status
|- SDKError           an answer that is not what the operation promises: status, body
|- ConnectionFailure  no answer: network trouble or a time-out
|- InvalidRequest     the arguments make no request; nothing was sent
`- WaitTimeout        the instance was still running when the patience of `wait_for` ended
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from headrace_client.models import WorkflowInstance


class ClientError(Exception):
    """Base of every error of this package.

    `idempotency_key` is the key the failed write carried (None for reads). Repeating the call with it
    makes sure that the server carries it out once, whatever became of the first try.
    """

    idempotency_key: str | None = None

    def __reduce__(self) -> tuple[Any, ...]:
        """For copies, and for the way from a worker process: the constructors take more than the text."""
        return _restored, (type(self), self.args), self.__dict__


def _restored(kind: type[ClientError], texts: tuple[Any, ...]) -> ClientError:
    return kind.__new__(kind, *texts)


class Error(ClientError):
    """The server's own error: `code` (VALIDATION, NOT_FOUND, INTERNAL), `message`, HTTP `status`."""

    def __init__(self, code: str, message: str, status: int, headers: Mapping[str, str], body: bytes) -> None:
        super().__init__(f"{code}: {message} (HTTP {status})")
        self.code = code
        self.message = message
        self.status = status
        self.status_code = status
        self.headers = headers
        self.body = body


class SDKError(ClientError):
    """Any other 4XX or 5XX, and an answer that does not fit the operation: `status`, `headers`, `body`.

    `message` is the text without the advice on what to do.
    """

    def __init__(self, message: str, status: int, headers: Mapping[str, str], body: bytes, *, advice: str = "") -> None:
        super().__init__(message + advice)
        self.message = message
        self.status = status
        self.status_code = status
        self.headers = headers
        self.body = body


class ConnectionFailure(ClientError):
    """No answer came. `is_timeout` says why, `is_unsent` that the request certainly never left.

    `message` is the text without the advice on what to do.
    """

    def __init__(self, message: str, *, advice: str = "", is_timeout: bool, is_unsent: bool) -> None:
        super().__init__(message + advice)
        self.message = message
        self.is_timeout = is_timeout
        self.is_unsent = is_unsent


class InvalidRequest(ClientError, ValueError):
    """The arguments make no request. Nothing was sent."""


class WaitTimeout(ClientError):
    """`wait_for` lost patience. `instance` is what it saw last; the server goes on with it."""

    def __init__(self, instance: WorkflowInstance, timeout_s: float) -> None:
        stage = instance.current_stage
        place = "between stages" if stage is None else f"in stage {stage}"
        super().__init__(f"instance {instance.id} is still running ({place}) after {timeout_s:g} s")
        self.instance = instance
        self.timeout_s = timeout_s
