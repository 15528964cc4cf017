"""Local signing keys: stored in the data folder, rotated by age, published longer than they sign.

    {"keys": [{"kid": "...", "algorithm": "ES256", "createdAt": ..., "signsFrom": ..., "retiredAt": ..., "jwk": {...}}]}

Times are microseconds since the epoch. A new key is published before it signs, for verifiers that cache the JWKS.
A retired key stays published, so that tokens outlive the rotation.
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

from headrace.auth.keys import VerificationKey, choose
from headrace.auth.secret_files import write_private
from headrace.errors import InvalidValue, NotAuthenticated

FILE = "signing-keys.json"
AHEAD = 3_600_000_000
"""Microseconds for which a key is published before it signs: one hour."""
RETRY = 60_000_000
"""Microseconds before a failed write of the file is repeated: one minute."""
DAY = 86_400_000_000
RSA_BITS = 2_048

_log = structlog.stdlib.get_logger("headrace.auth")


class StoredKey(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """One private key as it is kept. `retired_at` is when another key replaced it."""

    kid: str
    algorithm: str
    created_at: int
    signs_from: int
    jwk: dict[str, Any]
    retired_at: int | None = None


class _File(msgspec.Struct, forbid_unknown_fields=True):
    keys: list[StoredKey]


@dataclass(frozen=True, slots=True)
class Rotation:
    """A key signs for `days` and is published for `overlap_days` more.

    `keeps_private`: a retired key keeps its private half until then; else only the public half is kept.
    """

    algorithm: str = "ES256"
    days: int = 30
    overlap_days: int = 7
    keeps_private: bool = True


@dataclass(frozen=True, slots=True)
class SigningKey:
    kid: str
    algorithm: str
    jwk: Key


class KnownKeys:
    """The signing keys that a running server knows, and a keyring that verifies tokens with them."""

    def __init__(self, now_at: Callable[[], int]) -> None:
        self._now_at = now_at
        self._edition = 0
        self._stored: list[StoredKey] = []
        self._private: dict[str, Key] = {}
        self._public: tuple[VerificationKey, ...] = ()

    def edition(self) -> int:
        return self._edition

    async def key_for(self, kid: str | None, algorithm: str) -> VerificationKey:
        """Return the key of this id. Raises NotAuthenticated for an unknown or expired key."""
        self.turn()
        found = choose(self._public, kid, algorithm)
        if found is None:
            raise NotAuthenticated("the token's key is unknown or has expired")
        return found

    async def close(self) -> None:
        """Nothing needs closing, unlike in a remote keyring."""

    def signing_key(self) -> SigningKey:
        self.turn()
        now_at = self._now_at()
        ready = [key for key in self._stored if key.signs_from <= now_at and key.retired_at is None]
        chosen = ready[-1] if ready else self._stored[-1]  # after the clock was set back, none may be ready
        return SigningKey(chosen.kid, chosen.algorithm, self._private[chosen.kid])

    def jwks(self) -> dict[str, Any]:
        self.turn()
        return {"keys": [_published(key, self._private[key.kid]) for key in self._stored]}

    @property
    def stored(self) -> tuple[StoredKey, ...]:
        """All keys, in the order in which they sign."""
        return tuple(self._stored)

    def turn(self) -> None:
        """Rotate the keys where that is due and nothing else does it."""

    def take(self, keys: list[StoredKey]) -> None:
        """Use these keys from now on, in the order in which they sign. Raises ValueError for a malformed one."""
        try:
            private = {key.kid: self._private.get(key.kid) or JWKRegistry.import_key(key.jwk) for key in keys}
        except (JoseError, ValueError, TypeError) as error:
            raise ValueError(type(error).__name__) from None
        self._stored, self._private = keys, private
        self._public = tuple(
            VerificationKey(key.kid, frozenset({key.algorithm}), private[key.kid]) for key in self._stored
        )
        self._edition += 1


class SigningKeys(KnownKeys):
    """The signing keys of a file, which one process writes."""

    def __init__(self, path: Path, rotation: Rotation, now_at: Callable[[], int], new_kid: Callable[[], str]) -> None:
        """Load the keys; without a file, create the first. Raises InvalidValue for a malformed file."""
        super().__init__(now_at)
        self._path = path
        self._rotation = rotation
        self._new_kid = new_kid
        self._retry_at = 0
        try:
            self.take(_read(path))
        except (msgspec.MsgspecError, ValueError) as error:
            raise InvalidValue(str(path), f"is not a file of signing keys: {error}") from None
        self.turn()

    def turn(self) -> None:
        now_at = self._now_at()
        if now_at < self._retry_at:
            return
        changed = rotated(self._stored, now_at, self._rotation, self._new_kid)
        if changed is None:
            return
        try:
            write_private(self._path, msgspec.json.encode(_File(changed)))
        except OSError as error:
            if not self._stored:
                raise
            self._retry_at = now_at + RETRY
            _log.error("cannot write the signing keys; keeping the current ones", reason=str(error))
        else:
            self.take(changed)


def rotated(
    keys: list[StoredKey], now_at: int, rotation: Rotation, new_kid: Callable[[], str]
) -> list[StoredKey] | None:
    """Create the next key when it is due, retire the one that it replaces, drop expired ones; None: nothing changes."""
    changed = _turned(keys, now_at, rotation)
    if changed is not None and all(_is_due(key, now_at, rotation) for key in changed):
        kid, algorithm = new_kid(), rotation.algorithm
        jwk = ECKey.generate_key("P-256") if algorithm == "ES256" else RSAKey.generate_key(RSA_BITS)
        _log.info("created a signing key", kid=kid, algorithm=algorithm)
        signs_from = now_at + AHEAD if changed else now_at
        changed.append(StoredKey(kid, algorithm, now_at, signs_from, jwk=dict(jwk.as_dict(private=True))))
    return changed


def _is_due(key: StoredKey, now_at: int, rotation: Rotation) -> bool:
    """True if it is time to publish the next key, a little before this one has signed long enough."""
    if key.retired_at is not None or key.algorithm != rotation.algorithm:
        return True
    return now_at >= key.signs_from + rotation.days * DAY - AHEAD


def _turned(keys: list[StoredKey], now_at: int, rotation: Rotation) -> list[StoredKey] | None:
    """Return the keys after retirement and expiry, or None if nothing changes."""
    overlap = rotation.overlap_days * DAY
    left = [key for key in keys if key.retired_at is None or now_at < key.retired_at + overlap]
    ready = [key.kid for key in left if key.signs_from <= now_at and key.retired_at is None]
    is_same = len(left) == len(keys) and len(ready) <= 1
    if is_same and any(not _is_due(key, now_at, rotation) for key in left):
        return None
    return [_retired(key, now_at, rotation) if key.kid in ready[:-1] else key for key in left]


def _retired(key: StoredKey, now_at: int, rotation: Rotation) -> StoredKey:
    jwk = key.jwk
    if not rotation.keeps_private:
        jwk = dict(JWKRegistry.import_key(jwk).as_dict(private=False))
    return msgspec.structs.replace(key, retired_at=now_at, jwk=jwk)


def _published(key: StoredKey, jwk: Key) -> dict[str, Any]:
    return {**jwk.as_dict(private=False), "kid": key.kid, "use": "sig", "alg": key.algorithm}


def _read(path: Path) -> list[StoredKey]:
    try:
        content, mode = path.read_bytes(), path.stat().st_mode
    except FileNotFoundError:
        return []
    if mode & 0o077:
        _log.warning("other users of this machine can access the signing keys; run chmod 600", file=str(path))
    return sorted(msgspec.json.decode(content, type=_File).keys, key=lambda key: key.signs_from)
