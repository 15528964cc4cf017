"""Options that every operation accepts besides its own arguments."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypedDict, cast

from headrace_client.retries import RetryConfig, check_retries


class CallOptions(TypedDict, total=False):
    """For one request: another server, another longest silence in seconds, more headers, other retries."""

    server_url: str | None
    timeout_s: float | None
    headers: Mapping[str, str] | None
    retries: RetryConfig | None


class WriteOptions(CallOptions, total=False):
    """Options of a write: also the Idempotency-Key to send; the default is a fresh UUID."""

    idempotency_key: str | None


@dataclass(frozen=True, slots=True)
class Options:
    """All options with their defaults. Built from the caller's `**options`, it refuses a misspelt one."""

    server_url: str | None = None
    timeout_s: float | None = None
    headers: Mapping[str, str] | None = None
    idempotency_key: str | None = None
    retries: RetryConfig | None = None


def complete(options: CallOptions) -> Options:
    """Fill in the defaults. Raises TypeError for an unknown option."""
    complete_options = Options(**cast("dict[str, Any]", options))
    check_retries("retries", complete_options.retries)
    return complete_options
