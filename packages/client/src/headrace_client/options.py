"""What every call accepts besides its own arguments."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypedDict, cast

from headrace_client.retries import RetryConfig, check_retries


class CallOptions(TypedDict, total=False):
    """For one call: another server, another longest silence in seconds, more headers, other retries."""

    server_url: str | None
    timeout_s: float | None
    headers: Mapping[str, str] | None
    retries: RetryConfig | None


class WriteOptions(CallOptions, total=False):
    """Writes also accept the Idempotency-Key to send; without one a fresh UUID is sent."""

    idempotency_key: str | None


@dataclass(frozen=True, slots=True)
class Options:
    """The same, complete. Made of the caller's `**options`, it refuses a misspelt one."""

    server_url: str | None = None
    timeout_s: float | None = None
    headers: Mapping[str, str] | None = None
    idempotency_key: str | None = None
    retries: RetryConfig | None = None


def complete(options: CallOptions) -> Options:
    """Raises TypeError on an option that is none."""
    complete_options = Options(**cast("dict[str, Any]", options))
    check_retries("retries", complete_options.retries)
    return complete_options
