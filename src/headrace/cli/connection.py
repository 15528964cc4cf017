"""Choose the server and the credentials of a command.

Precedence: the command line, the environment, the profile in use, the default. A profile named on the command line
counts as the command line.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from headrace.cli.profile_file import Profile, Profiles
from headrace.errors import InvalidValue

if TYPE_CHECKING:
    from headrace_client import Credentials

DEFAULT_SERVER = "http://127.0.0.1:8484"
SERVER, PROFILE = "HEADRACE_SERVER", "HEADRACE_PROFILE"
CLIENT_ID, CLIENT_SECRET, TOKEN_URL = "HEADRACE_CLIENT_ID", "HEADRACE_CLIENT_SECRET", "HEADRACE_TOKEN_URL"
TOKEN = "HEADRACE_TOKEN"  # noqa: S105 - the name of a variable


@dataclass(frozen=True, slots=True)
class Identity:
    """A token, or a client's id and secret. `origin` names their source."""

    origin: str
    token: str | None = field(default=None, repr=False)
    client_id: str | None = None
    client_secret: str | None = field(default=None, repr=False)
    token_url: str | None = None

    def credentials(self) -> Credentials:
        from headrace_client import ClientCredentials

        token = self.token
        if token is not None:
            return lambda: token
        return ClientCredentials(self.client_id or "", self.client_secret or "", self.token_url)


@dataclass(frozen=True, slots=True)
class Connection:
    """`profile` is the name of the profile in use; the origins name the sources of server and identity."""

    server: str
    server_origin: str
    profile: str | None = None
    identity: Identity | None = None
    withheld_for: str | None = None
    """The server of the profile in use, if its credentials are withheld because another server was named."""

    @property
    def holder(self) -> str:
        """The profile or client whose rights a request has, as an error names it."""
        origin = self.identity.origin if self.identity is not None else ""
        kind, _, name = origin.partition(" ")
        return f"This profile ({name})" if kind == "profile" else f"The client of {origin or 'this command'}"


def connection_of(
    server: str | None, profile: str | None, environ: Mapping[str, str], profiles: Profiles
) -> Connection:
    """Resolve the options `server` and `profile` of a command. An empty variable counts as not set.

    Raises InvalidValue, and Failure for an unknown profile.
    """
    name = profile or environ.get(PROFILE) or profiles.current
    used = profiles.get(name) if name else Profile()
    of_profile = [(used.server, f"profile {name}")]
    of_environment = [(environ.get(SERVER), SERVER)]
    between = of_profile + of_environment if profile else of_environment + of_profile
    address, origin = next(
        (checked_server(value, origin), origin)
        for value, origin in [(server, "--server"), *between, (DEFAULT_SERVER, "default")]
        if value
    )
    identities = _identities(name, used, address, environ, has_named_profile=profile is not None)
    return Connection(address, origin, name, next(identities, None), _withheld(used, address))


def checked_server(address: str, origin: str) -> str:
    """Return the address without a trailing slash. Raises InvalidValue unless it is an http or https root."""
    try:
        parts = urlsplit(address)
        is_address = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:  # of brackets, or of the port
        raise InvalidValue(origin, f"{address!r} is not an http:// or https:// address") from None
    if not is_address or " " in address or not address.isprintable():
        raise InvalidValue(origin, f"{address!r} is not an http:// or https:// address")
    if "@" in parts.netloc:
        raise InvalidValue(origin, "must not hold credentials: give them to a profile, or in HEADRACE_TOKEN")
    if "?" in address or "#" in address:
        raise InvalidValue(origin, f"{address!r} must end with its path, without ? and #")
    return address.rstrip("/")


def checked_token(token: str, origin: str) -> str:
    """Return the token. Raises InvalidValue unless it is visible ASCII."""
    if not all("!" <= character <= "~" for character in token):
        reason = 'a token is visible ASCII, without blanks and line ends; strip a line end, as in "$(cat FILE)"'
        raise InvalidValue(origin, reason)
    return token


def checked_secret(secret: str, origin: str) -> str:
    """Return the secret. Raises InvalidValue, which does not contain the secret."""
    if secret != secret.strip() or not secret.isprintable():
        raise InvalidValue(
            origin, 'must be one line without surrounding blanks; strip the line end, as in "$(cat FILE)"'
        )
    return secret


def _identities(
    name: str | None, used: Profile, address: str, environ: Mapping[str, str], *, has_named_profile: bool
) -> Iterator[Identity]:
    """Identities found, by precedence. A profile's secrets are sent to the profile's own server only."""
    of_profile = _of_profile(f"profile {name}", used, environ) if _withheld(used, address) is None else None
    if has_named_profile and of_profile is not None:
        yield of_profile
    client_id, secret = environ.get(CLIENT_ID), environ.get(CLIENT_SECRET)
    if environ.get(TOKEN):
        yield Identity(TOKEN, token=checked_token(environ[TOKEN], TOKEN))
    elif client_id and secret:
        checked_secret(client_id, CLIENT_ID)
        checked_secret(secret, CLIENT_SECRET)
        token_url = environ.get(TOKEN_URL) or None
        yield Identity(CLIENT_ID, client_id=client_id, client_secret=secret, token_url=token_url)
    elif client_id or (secret and of_profile is None):
        missing, found = (CLIENT_SECRET, CLIENT_ID) if client_id else (CLIENT_ID, CLIENT_SECRET)
        raise InvalidValue(missing, f"is not set, and {found} is: set both or neither")
    if of_profile is not None:
        yield of_profile


def _withheld(used: Profile, address: str) -> str | None:
    own = used.server or DEFAULT_SERVER
    return own if (used.client_id or used.has_secret) and _origin(own) != _origin(address) else None


def _of_profile(origin: str, used: Profile, environ: Mapping[str, str]) -> Identity | None:
    """Credentials of a profile. The environment may supply the secret, so that no file needs to hold it."""
    if used.token:
        return Identity(origin, token=checked_token(used.token, origin))
    secret = used.client_secret
    if used.client_id and not secret and not environ.get(CLIENT_ID):
        secret = environ.get(CLIENT_SECRET)
    if not used.client_id or not secret:
        return None
    secret = checked_secret(secret, origin)
    checked_secret(used.client_id, origin)
    return Identity(origin, client_id=used.client_id, client_secret=secret, token_url=used.token_url)


def _origin(address: str) -> tuple[str, str]:
    parts = urlsplit(address)
    return parts.scheme, parts.netloc.lower()
