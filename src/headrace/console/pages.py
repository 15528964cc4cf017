"""A page, and the place that it is asked for at."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

from headrace.auth.principal import Principal
from headrace.console.counts import Counts
from headrace.console.facts import Facts
from headrace.errors import (
    AlreadyEnded,
    HashDiffers,
    HeadraceError,
    InvalidValue,
    NotAllowed,
    NotFound,
    NotInThisState,
    NotPermitted,
    NotResolvable,
    NotRunnable,
    Silent,
    Unavailable,
)
from headrace.usecases.ports import Ports

_STATUSES: tuple[tuple[type[HeadraceError], HTTPStatus], ...] = (
    (InvalidValue, HTTPStatus.BAD_REQUEST),
    (NotAllowed, HTTPStatus.FORBIDDEN),
    (NotPermitted, HTTPStatus.FORBIDDEN),
    (NotFound, HTTPStatus.NOT_FOUND),
    (HashDiffers, HTTPStatus.PRECONDITION_FAILED),
    (AlreadyEnded, HTTPStatus.CONFLICT),
    (NotInThisState, HTTPStatus.CONFLICT),
    (NotResolvable, HTTPStatus.CONFLICT),
    (NotRunnable, HTTPStatus.CONFLICT),
    (Silent, HTTPStatus.SERVICE_UNAVAILABLE),
    (Unavailable, HTTPStatus.SERVICE_UNAVAILABLE),
)


def status_for(error: Exception) -> HTTPStatus | None:
    """The status of a page about an error; None for a bug."""
    return next((code for kind, code in _STATUSES if isinstance(error, kind)), None)


@dataclass(frozen=True, slots=True)
class Page:
    """A page to render: its template, its title, and the values of the template."""

    template: str
    title: str
    values: dict[str, Any] = field(default_factory=dict[str, Any])
    status: HTTPStatus = HTTPStatus.OK


@dataclass(frozen=True, slots=True)
class Visitor:
    """A person at the console: what it may do, its name, and what its forms carry to prove that they are its own."""

    principal: Principal
    name: str
    form_token: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Place:
    """A request for a screen: the server's parts, the visitor, the query, the parameters in the path, the form sent.

    `facts`: what the composition knows of the server; None: nothing.
    """

    ports: Ports
    counts: Counts
    visitor: Visitor
    query: Mapping[str, str]
    params: Mapping[str, str]
    form: Mapping[str, str] = field(default_factory=dict[str, str])
    facts: Facts | None = None
