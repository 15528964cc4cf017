"""Which server a client means."""

from __future__ import annotations

from typing import Any

import pytest

from headrace_client import Client, InvalidRequest
from headrace_client.servers import server_root


@pytest.mark.parametrize(
    ("arguments", "root"),
    [
        ({}, "http://localhost"),
        ({"server": 0}, "http://localhost"),
        ({"server": 1}, "https://orgID-stackID.eu.sandbox.formance.cloud"),
        (
            {"server": 1, "organization": "acme-x1", "environment": "us-east-1"},
            "https://acme-x1.us-east-1.formance.cloud",
        ),
        ({"server_url": "http://127.0.0.1:8484"}, "http://127.0.0.1:8484"),
        ({"server_url": "https://h/gw/x///"}, "https://h/gw/x"),
        ({"server_url": "http://[::1]:80/"}, "http://[::1]:80"),
    ],
)
def test_roots(arguments: dict[str, Any], root: str) -> None:
    given = {"server_url": None, "server": None, "organization": None, "environment": None, **arguments}
    assert server_root(**given) == root


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ({"server": 2}, "from 0 to 1"),
        ({"server": -1}, "from 0 to 1"),
        ({"server": 0, "organization": "x"}, "belong to server=1"),
        ({"organization": "x"}, "belong to server=1"),
        ({"server": 1, "organization": "a.evil/"}, "organization"),
        ({"server": 1, "organization": "-a"}, "organization"),
        ({"server": 1, "environment": "mars"}, "environment must be one of"),
        ({"server": 0, "server_url": "http://h"}, "not both"),
        ({"server_url": ""}, "must be like"),
        ({"server_url": "h:80"}, "must be like"),
        ({"server_url": "ftp://h"}, "must be like"),
        ({"server_url": "http://"}, "must be like"),
        ({"server_url": "http://user:pass@h"}, "credentials"),
        ({"server_url": "http://h?x=1"}, "without"),
        ({"server_url": "http://h/#x"}, "without"),
        ({"server_url": "http://h\n"}, "white space"),
        ({"server_url": "http://h:99999"}, "not a URL"),
        ({"server_url": "http://[h"}, "not a URL"),
        ({"timeout_s": -1}, "timeout_s"),
    ],
)
def test_refused(arguments: dict[str, Any], reason: str) -> None:
    with pytest.raises(InvalidRequest, match=reason):
        Client(**arguments)
