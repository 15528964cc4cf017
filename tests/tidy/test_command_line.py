"""The command line reaches a server through headrace_client alone; only its session chooses how that one connects."""

from __future__ import annotations

import ast
from collections.abc import Iterator

import pytest

from tests.tidy import repository
from tests.tidy.repository import Complaint, Source

FOLDER = "src/headrace/cli/"
SESSION = "src/headrace/cli/session.py"
TRANSPORTS = (
    "aiohttp",
    "http.client",
    "httptools",
    "httpx",
    "httpx2",
    "requests",
    "socket",
    "urllib.request",
    "urllib3",
)
PUBLIC = (
    "headrace_client",
    "headrace_client.ext",
    "headrace_client.proxies",
    "headrace_client.v1",
    "headrace_client.v2",
)
"""What of the client is for its users; how it sends is not."""
MAKING = ("Client", "Request", "Response")
"""What the session may use of httpx2: it makes the connections for the client, and logs each request with --debug."""


def imported(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Every module that is imported, by `import` or from its package."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.lineno, node.module
            if node.module in ("headrace_client", "http", "urllib"):
                yield from (
                    (node.lineno, f"{node.module}.{alias.name}") for alias in node.names if alias.name.islower()
                )


def own_calls(source: Source) -> Iterator[Complaint]:
    """Imports of an HTTP library or of the client's inside; in the session, any other use of httpx2."""
    for line, name in imported(source.tree):
        is_transport = any(name == each or name.startswith(f"{each}.") for each in TRANSPORTS)
        if is_transport and (source.path != SESSION or name != "httpx2"):
            yield line, f"`{name}`: call the server by session.client"
        if name.partition(".")[0] == "headrace_client" and name not in PUBLIC:
            yield line, f"`{name}` is inside the client: add what is missing to its operations"
    for node in ast.walk(source.tree):
        match node:
            case ast.Attribute(value=ast.Name(id="httpx2"), attr=name) if name not in MAKING:
                yield node.lineno, f"`httpx2.{name}`: call the server by session.client"
            case ast.ImportFrom(module="httpx2"):
                yield node.lineno, "import httpx2 as a whole, so that each use of it is seen"
            case _:
                pass


def test_no_command_opens_http_itself() -> None:
    paths = [path for path in repository.product_files() if path.startswith(FOLDER)]
    assert SESSION in paths
    found = {path: complaints for path in paths if (complaints := list(own_calls(repository.read(path))))}
    assert found == {}


@pytest.mark.parametrize(
    "text",
    [
        "import httpx2",
        "import httpx2 as h",
        "from httpx2 import Client",
        "from urllib import request",
        "import urllib.request",
        "import http.client",
        "import socket",
        "from headrace_client.transport import wire_response",
        "from headrace_client import protocol",
        "from headrace_client._sync import driver",
        "def f():\n    from headrace_client.operations import Operation",
    ],
)
def test_a_command_that_does_is_found(text: str) -> None:
    assert list(own_calls(Source.of(f"{FOLDER}bad.py", text)))


def test_the_session_may_make_a_client_but_no_call() -> None:
    assert not list(own_calls(Source.of(SESSION, "import httpx2\nclient = httpx2.Client()")))
    assert list(own_calls(Source.of(SESSION, "import httpx2\nresponse = httpx2.get('http://127.0.0.1')")))
    assert list(own_calls(Source.of(SESSION, "from httpx2 import get")))


def test_addresses_may_be_taken_apart() -> None:
    assert not list(own_calls(Source.of(f"{FOLDER}good.py", "from urllib.parse import urlsplit")))
