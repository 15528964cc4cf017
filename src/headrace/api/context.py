"""The context of a handler: what it needs beside the request, built once with the server."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from headrace.api.body_budget import BodyBudget
from headrace.api.responses import Response
from headrace.auth.authenticator import Authenticator
from headrace.settings import Settings
from headrace.telemetry import Telemetry
from headrace.usecases.ports import Ports


@dataclass(frozen=True, slots=True)
class Description:
    """The responses that describe the API: its OpenAPI document, and the same as a page."""

    openapi: Response
    page: Response


@dataclass(frozen=True, slots=True)
class Context:
    """`ports` is what use cases and reads work with. `describe` makes the description when it is first asked for."""

    ports: Ports
    settings: Settings
    telemetry: Telemetry
    authenticator: Authenticator
    describe: Callable[[], Description]
    bodies: BodyBudget = field(default_factory=BodyBudget)
