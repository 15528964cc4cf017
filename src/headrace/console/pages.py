"""A page, and the place that it is asked for at."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from headrace.usecases.ports import Ports


@dataclass(frozen=True, slots=True)
class Page:
    """A page to render: its template, its title, and the values of the template."""

    template: str
    title: str
    values: dict[str, Any] = field(default_factory=dict[str, Any])


@dataclass(frozen=True, slots=True)
class Place:
    """A request for a screen: the parts of the server, the query and the parameters in the path."""

    ports: Ports
    query: Mapping[str, str]
    params: Mapping[str, str]
