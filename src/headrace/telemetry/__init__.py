"""Telemetry of a running server: metrics, log lines, traces. None holds a token, a secret or an amount."""

from __future__ import annotations

from headrace.telemetry.metrics import CONTENT_TYPE, MAX_WORKFLOWS, SERVICES, Telemetry, configure_logging

__all__ = ["CONTENT_TYPE", "MAX_WORKFLOWS", "SERVICES", "Telemetry", "configure_logging"]
