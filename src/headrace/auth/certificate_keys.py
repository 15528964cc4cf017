"""The keys of certificates: in a file of their own, rotated every year, their public halves published permanently.

Tokens are signed with other keys, and expire; a certificate is read years later. So a retired key is never forgotten,
and its private half is deleted when it retires.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from headrace.certificates.statement import checked_text
from headrace.errors import Unavailable

if TYPE_CHECKING:  # a signature library is imported when the first certificate is made
    from headrace.auth.signing import SigningKey, SigningKeys, StoredKey

FILE = "certificate-keys.json"
DAYS = 365
FOREVER_DAYS = 365 * 10_000


class CertificateKeys:
    """The certificate keys of one server. The file is made when the first key is needed."""

    def __init__(self, path: Path, now_at: Callable[[], int], new_id: Callable[[], str]) -> None:
        self._path = path
        self._now_at = now_at
        self._new_id = new_id
        self._keys: SigningKeys | None = None

    def signing_key(self) -> SigningKey:
        """The key that signs now. Raises Unavailable where the file cannot be written, InvalidValue where it is bad."""
        return self._opened().signing_key()

    def published(self) -> list[dict[str, Any]]:
        """The public keys as JWKs, in the order in which they sign. Raises as `signing_key`."""
        keys = self._opened()
        keys.turn()
        return [public_key(key) for key in keys.stored]

    def _opened(self) -> SigningKeys:
        if self._keys is None:
            from headrace.auth.signing import Rotation, SigningKeys
            from headrace.certificates.envelope import ALGORITHM, KID_PREFIX

            rotation = Rotation(ALGORITHM, DAYS, FOREVER_DAYS, keeps_private=False)
            try:
                self._keys = SigningKeys(self._path, rotation, self._now_at, lambda: f"{KID_PREFIX}{self._new_id()}")
            except OSError as error:
                raise Unavailable(f"the keys of certificates cannot be kept: {error.strerror}") from None
        return self._keys


def public_key(key: StoredKey) -> dict[str, Any]:
    """The public half of a key as a JWK. `retiredAt`: it has signed nothing since."""
    jwk = {name: key.jwk[name] for name in ("kty", "crv", "x", "y")}
    shown = {**jwk, "kid": key.kid, "use": "sig", "alg": key.algorithm, "signsFrom": checked_text(key.signs_from)}
    return shown if key.retired_at is None else {**shown, "retiredAt": checked_text(key.retired_at)}
