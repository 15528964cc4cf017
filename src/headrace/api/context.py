"""The context of a handler: what it needs beside the request, built once with the server."""

from __future__ import annotations

from dataclasses import dataclass, field

from headrace.api.body_budget import BodyBudget
from headrace.api.responses import Response
from headrace.auth.authenticator import Authenticator
from headrace.settings import Settings
from headrace.telemetry import Telemetry
from headrace.usecases.ports import Ports


@dataclass(frozen=True, slots=True)
class Context:
    """`ports` is what use cases and reads work with. `openapi` and `docs_page` are the two forms of the description."""

    ports: Ports
    settings: Settings
    telemetry: Telemetry
    authenticator: Authenticator
    openapi: Response
    docs_page: Response
    bodies: BodyBudget = field(default_factory=BodyBudget)
