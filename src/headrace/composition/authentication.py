"""Build the authenticator that the settings choose. Signature libraries are imported only when they are needed."""

from __future__ import annotations

import contextlib
import os
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import TYPE_CHECKING

from headrace.auth.authenticator import AnonymousAuthenticator, Authenticator
from headrace.auth.clients import FILE as CLIENTS_FILE
from headrace.auth.clients import Clients, ClientsFile, ClientStore, KnownClients
from headrace.auth.oauth import ElsewhereAuthority, OpenAuthority
from headrace.background import in_background
from headrace.clock import Clock, Ids
from headrace.errors import InvalidValue
from headrace.settings import Settings

if TYPE_CHECKING:
    from headrace.auth.signing import KnownKeys, Rotation

LOCAL_PATH = "/api/auth"


@contextlib.asynccontextmanager
async def open_authenticator(
    settings: Settings, data: Path, url: str, clock: Clock, ids: Ids
) -> AsyncGenerator[Authenticator]:
    """Build the authenticator, and close it at the end. `url` is the server's address.

    Raises InvalidValue for unusable files, tables or settings, and Unavailable for a database that is not reachable.
    """
    issuer = settings.issuer or f"{url}{LOCAL_PATH}"
    async with contextlib.AsyncExitStack() as stack:
        if settings.auth == "local" and settings.database_url is not None:
            from headrace.auth.postgres import PostgresAuthTables
            from headrace.auth.shared import SharedAuth

            tables = PostgresAuthTables(settings.database_url)
            shared = SharedAuth(tables, _rotation(settings), clock, ids.new)
            stack.push_async_callback(shared.close)
            await shared.begin()
            await stack.enter_async_context(in_background(shared.run, clock))
            yield _local_authenticator(settings, issuer, shared, shared.clients, clock, ids)
            return
        authenticator = build_authenticator(settings, data, url, clock, ids)
        stack.push_async_callback(authenticator.close)
        yield authenticator


def build_authenticator(settings: Settings, data: Path, url: str, clock: Clock, ids: Ids) -> Authenticator:
    """Build one whose state, if any, is in files. Raises InvalidValue for unusable files or settings."""
    issuer = settings.issuer or f"{url}{LOCAL_PATH}"
    if settings.auth == "local":
        from headrace.auth.signing import FILE, SigningKeys

        keys = SigningKeys(data / FILE, _rotation(settings), clock.now_at, ids.new)
        clients = Clients(clients_file(settings, data), clock.monotonic_s)
        return _local_authenticator(settings, issuer, keys, clients, clock, ids)
    if settings.auth == "oidc":
        return _remote_authenticator(settings, issuer, clock)
    return AnonymousAuthenticator(OpenAuthority(issuer, ids))


def clients_file(settings: Settings, data: Path) -> ClientsFile:
    return ClientsFile(settings.clients or data / CLIENTS_FILE)


def client_store(settings: Settings, data: Path) -> ClientStore:
    """The clients for programs that change them: a table where the journal is in PostgreSQL, else a file."""
    if settings.database_url is None:
        return clients_file(settings, data)
    from headrace.auth.postgres import ClientsTable

    return ClientsTable(settings.database_url)


def _rotation(settings: Settings) -> Rotation:
    from headrace.auth.signing import Rotation

    return Rotation(settings.signing_algorithm, settings.key_days, settings.key_overlap_days)


def _local_authenticator(
    settings: Settings, issuer: str, keys: KnownKeys, clients: KnownClients, clock: Clock, ids: Ids
) -> Authenticator:
    from headrace.auth.local import LocalAuthority, TokenShape
    from headrace.auth.tokens import TokenAuthenticator
    from headrace.auth.verifier import Expectations, Verifier

    shape = TokenShape(issuer, settings.audience, settings.token_life_s)
    authority = LocalAuthority(shape, keys, clients, clock, ids, os.urandom)
    verifier = Verifier(Expectations(issuer, settings.audience, ("ES256", "RS256"), realm="local"))
    return TokenAuthenticator(authority, verifier, keys, clock, clients)


def _remote_authenticator(settings: Settings, issuer: str, clock: Clock) -> Authenticator:
    from headrace.auth.fetching import Fetcher
    from headrace.auth.keyring import RemoteKeyring, is_trustworthy
    from headrace.auth.tokens import TokenAuthenticator
    from headrace.auth.verifier import Expectations, Verifier

    fetcher, allow_plain = Fetcher(), settings.allow_plain_issuer
    if not is_trustworthy(issuer, allow_plain=allow_plain):
        raise InvalidValue(
            "HEADRACE_ISSUER",
            "an attacker on the network could replace the keys of an http:// issuer: use https://, "
            "or HEADRACE_ALLOW_PLAIN_ISSUER=true",
        )
    keyring = RemoteKeyring(issuer, fetcher, clock, allow_plain=allow_plain, on_close=fetcher.close)
    verifier = Verifier(Expectations(issuer, settings.audience, settings.token_algorithms))
    return TokenAuthenticator(ElsewhereAuthority(issuer), verifier, keyring, clock)
