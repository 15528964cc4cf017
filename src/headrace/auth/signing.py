"""Our own signing keys: kept in a file of the data folder, exchanged by age, published longer than they are used.

    {"keys": [{"kid": "...", "algorithm": "ES256", "createdAt": ..., "signsFrom": ..., "retiredAt": ..., "jwk": {...}}]}

Times are microseconds since the epoch. A new key is published before it signs, for verifiers that keep our JWKS a
while; one that signs no more stays published, so that a token outlives the exchange.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import structlog
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, JWKRegistry, Key, RSAKey

from headrace.auth.files import write_private
from headrace.auth.keys import VerificationKey, choose
from headrace.errors import InvalidValue, NotAuthenticated

FILE = "signing-keys.json"
AHEAD = 3_600_000_000
"""How long a key is published before it signs: an hour."""
RETRY = 60_000_000
"""A minute after a file could not be written."""
DAY = 86_400_000_000
RSA_BITS = 2_048

_log = structlog.stdlib.get_logger("headrace.auth")


class _Stored(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """`retired_at`: when another took its place."""

    kid: str
    algorithm: str
    created_at: int
    signs_from: int
    jwk: dict[str, Any]
    retired_at: int | None = None


class _File(msgspec.Struct, forbid_unknown_fields=True):
    keys: list[_Stored]


@dataclass(frozen=True, slots=True)
class Rotation:
    """`days` a key signs, and `overlap_days` more it is published."""

    algorithm: str = "ES256"
    days: int = 30
    overlap_days: int = 7


@dataclass(frozen=True, slots=True)
class SigningKey:
    kid: str
    algorithm: str
    jwk: Key


class SigningKeys:
    """Also a keyring: what these keys have signed can be verified with them."""

    def __init__(self, path: Path, rotation: Rotation, now_at: Callable[[], int], new_kid: Callable[[], str]) -> None:
        """Makes the first key where there is none. Raises InvalidValue for a file that is none of ours."""
        self._path = path
        self._rotation = rotation
        self._now_at = now_at
        self._new_kid = new_kid
        self._edition = 0
        self._stored: list[_Stored] = []
        self._private: dict[str, Key] = {}
        self._public: tuple[VerificationKey, ...] = ()
        self._retry_at = 0
        self._take(_read(path))
        self._turn()

    def edition(self) -> int:
        return self._edition

    async def key_for(self, kid: str | None, algorithm: str) -> VerificationKey:
        """Raises NotAuthenticated for a key that is not ours, or not any more."""
        self._turn()
        found = choose(self._public, kid, algorithm)
        if found is None:
            raise NotAuthenticated("the token's key is not one of ours, or not any more")
        return found

    async def close(self) -> None:
        """There is nothing to close; a remote keyring has."""

    def signing_key(self) -> SigningKey:
        self._turn()
        now_at = self._now_at()
        ready = [key for key in self._stored if key.signs_from <= now_at and key.retired_at is None]
        chosen = ready[-1] if ready else self._stored[-1]  # a clock that went back finds none ready
        return SigningKey(chosen.kid, chosen.algorithm, self._private[chosen.kid])

    def jwks(self) -> dict[str, Any]:
        self._turn()
        return {"keys": [_published(key, self._private[key.kid]) for key in self._stored]}

    def _turn(self) -> None:
        """Make the next key when it is time, retire the one it replaces, drop what has been retired long enough."""
        now_at = self._now_at()
        changed = _turned(self._stored, now_at, self._rotation)
        if changed is None or now_at < self._retry_at:
            return
        if all(_is_due(key, now_at, self._rotation) for key in changed):
            changed.append(self._new_key(now_at, is_first=not changed))
        try:
            write_private(self._path, msgspec.json.encode(_File(changed)))
        except OSError as error:
            if not self._stored:
                raise
            self._retry_at = now_at + RETRY
            _log.error("the signing keys cannot be written; the old ones are used on", reason=str(error))
        else:
            self._take(changed)

    def _new_key(self, now_at: int, *, is_first: bool) -> _Stored:
        kid = self._new_kid()
        algorithm = self._rotation.algorithm
        jwk = ECKey.generate_key("P-256") if algorithm == "ES256" else RSAKey.generate_key(RSA_BITS)
        _log.info("a new signing key", kid=kid, algorithm=algorithm)
        return _Stored(
            kid=kid,
            algorithm=algorithm,
            created_at=now_at,
            signs_from=now_at if is_first else now_at + AHEAD,
            jwk=dict(jwk.as_dict(private=True)),
        )

    def _take(self, keys: list[_Stored]) -> None:
        try:
            private = {key.kid: self._private.get(key.kid) or JWKRegistry.import_key(key.jwk) for key in keys}
        except (JoseError, ValueError, TypeError) as error:
            raise InvalidValue(str(self._path), f"is no file of signing keys: {type(error).__name__}") from None
        self._stored, self._private = keys, private
        self._public = tuple(
            VerificationKey(key.kid, frozenset({key.algorithm}), private[key.kid]) for key in self._stored
        )
        self._edition += 1


def _is_due(key: _Stored, now_at: int, rotation: Rotation) -> bool:
    """Whether it is time to publish the next one: a little before this one has signed long enough."""
    if key.retired_at is not None or key.algorithm != rotation.algorithm:
        return True
    return now_at >= key.signs_from + rotation.days * DAY - AHEAD


def _turned(keys: list[_Stored], now_at: int, rotation: Rotation) -> list[_Stored] | None:
    """The keys as they should be now, but for one that is still to be made; None where nothing changes."""
    left = [key for key in keys if not _is_over(key, now_at, rotation)]
    ready = [key.kid for key in left if key.signs_from <= now_at and key.retired_at is None]
    is_same = len(left) == len(keys) and len(ready) <= 1
    if is_same and any(not _is_due(key, now_at, rotation) for key in left):
        return None
    return [msgspec.structs.replace(key, retired_at=now_at) if key.kid in ready[:-1] else key for key in left]


def _is_over(key: _Stored, now_at: int, rotation: Rotation) -> bool:
    return key.retired_at is not None and now_at >= key.retired_at + rotation.overlap_days * DAY


def _published(key: _Stored, jwk: Key) -> dict[str, Any]:
    return {**jwk.as_dict(private=False), "kid": key.kid, "use": "sig", "alg": key.algorithm}


def _read(path: Path) -> list[_Stored]:
    try:
        content, mode = path.read_bytes(), path.stat().st_mode
    except FileNotFoundError:
        return []
    if mode & 0o077:
        _log.warning("others on this machine can read or change the signing keys; chmod 600 ends it", file=str(path))
    try:
        return sorted(msgspec.json.decode(content, type=_File).keys, key=lambda key: key.signs_from)
    except (msgspec.MsgspecError, ValueError) as error:
        raise InvalidValue(str(path), f"is no file of signing keys: {error}") from None
