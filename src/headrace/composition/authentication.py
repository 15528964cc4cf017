"""Build the authenticator that the settings choose. Signature libraries are imported only when they are needed."""

from __future__ import annotations

import os
from pathlib import Path

from headrace.auth.authenticator import AnonymousAuthenticator, Authenticator
from headrace.auth.clients import FILE as CLIENTS_FILE
from headrace.auth.clients import Clients, ClientsFile
from headrace.auth.oauth import ElsewhereAuthority, OpenAuthority
from headrace.clock import Clock, Ids
from headrace.errors import InvalidValue
from headrace.settings import Settings

LOCAL_PATH = "/api/auth"


def build_authenticator(settings: Settings, data: Path, url: str, clock: Clock, ids: Ids) -> Authenticator:
    """Build it. `url` is the server's address. Raises InvalidValue for unusable files or settings."""
    issuer = settings.issuer or f"{url}{LOCAL_PATH}"
    if settings.auth == "local":
        return _local_authenticator(settings, issuer, data, clock, ids)
    if settings.auth == "oidc":
        return _remote_authenticator(settings, issuer, clock)
    return AnonymousAuthenticator(OpenAuthority(issuer, ids))


def clients_file(settings: Settings, data: Path) -> ClientsFile:
    return ClientsFile(settings.clients or data / CLIENTS_FILE)


def _local_authenticator(settings: Settings, issuer: str, data: Path, clock: Clock, ids: Ids) -> Authenticator:
    from headrace.auth.local import LocalAuthority, TokenShape
    from headrace.auth.signing import FILE, Rotation, SigningKeys
    from headrace.auth.tokens import TokenAuthenticator
    from headrace.auth.verifier import Expectations, Verifier

    rotation = Rotation(settings.signing_algorithm, settings.key_days, settings.key_overlap_days)
    keys = SigningKeys(data / FILE, rotation, clock.now_at, ids.new)
    clients = Clients(clients_file(settings, data), clock.monotonic_s)
    shape = TokenShape(issuer, settings.audience, settings.token_life_s)
    authority = LocalAuthority(shape, keys, clients, clock, ids, os.urandom)
    verifier = Verifier(Expectations(issuer, settings.audience, ("ES256", "RS256"), realm="local"))
    return TokenAuthenticator(authority, verifier, keys, clock, clients.is_valid)


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
    return TokenAuthenticator(ElsewhereAuthority(issuer), verifier, keyring, clock, lambda principal: True)
