"""Address of the server: a URL, or an index into the list that every client of this API has, with its variables."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from headrace_client.errors import InvalidRequest

SERVERS = ("http://localhost", "https://{organization}.{environment}.formance.cloud")
ENVIRONMENTS = ("eu.sandbox", "eu-west-1", "us-east-1")
DEFAULT_ORGANIZATION = "orgID-stackID"
DEFAULT_ENVIRONMENT = "eu.sandbox"

_HOST_LABEL = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?")


def server_root(server_url: str | None, server: int | None, organization: str | None, environment: str | None) -> str:
    """The root below which operations have their paths: without a trailing slash, with a path prefix."""
    if server_url is None:
        index = 0 if server is None else server
        if not 0 <= index < len(SERVERS):
            raise InvalidRequest(f"server must be from 0 to {len(SERVERS) - 1}, not {index}")
        if index == 0:
            if organization is not None or environment is not None:
                raise InvalidRequest("organization and environment belong to server=1")
            return SERVERS[0]
        return SERVERS[index].format(
            organization=_checked_organization(organization or DEFAULT_ORGANIZATION),
            environment=_checked_environment(environment or DEFAULT_ENVIRONMENT),
        )
    if server is not None or organization is not None or environment is not None:
        raise InvalidRequest("give either server_url, or server with organization and environment, not both")
    return checked_root(server_url)


def checked_root(server_url: str, name: str = "server_url") -> str:
    """Return the URL without a trailing slash. Raises InvalidRequest unless it is a plain http or https root."""
    if re.search(r"[\x00-\x20\x7f]", server_url):
        raise InvalidRequest(f"a URL holds no white space or control characters: {server_url!r}")
    try:
        parts = urlsplit(server_url)
        _ = parts.port
    except ValueError as error:
        raise InvalidRequest(f"{server_url!r} is not a URL: {error}") from error
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise InvalidRequest(f"{name} must be like http://127.0.0.1:8484, not {server_url!r}")
    if "@" in parts.netloc:
        raise InvalidRequest(f"{name} must not hold credentials: pass security=Security(...)")
    if parts.query or parts.fragment:
        raise InvalidRequest(f"{name} must end with its path, without ? or #: {server_url!r}")
    return f"{parts.scheme}://{parts.netloc}{parts.path.rstrip('/')}"


def host_root(server_url: str) -> str:
    """Scheme, host and port alone: a relative token URL starts here, without the prefix of the API."""
    parts = urlsplit(server_url)
    return f"{parts.scheme}://{parts.netloc}"


def _checked_organization(organization: str) -> str:
    if not _HOST_LABEL.fullmatch(organization):
        raise InvalidRequest(f"organization must fit a host name (letters, digits, hyphens): {organization!r}")
    return organization


def _checked_environment(environment: str) -> str:
    if environment not in ENVIRONMENTS:
        raise InvalidRequest(f"environment must be one of {', '.join(ENVIRONMENTS)}, not {environment!r}")
    return environment
