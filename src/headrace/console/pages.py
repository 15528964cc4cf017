"""A page, and the place that it is asked for at."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

from headrace.auth.principal import Principal
from headrace.usecases.ports import Ports


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
    """A request for a screen: the server's parts, the visitor, the query, the parameters in the path, the form sent."""

    ports: Ports
    visitor: Visitor
    query: Mapping[str, str]
    params: Mapping[str, str]
    form: Mapping[str, str] = field(default_factory=dict[str, str])
