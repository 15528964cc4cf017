"""The client of `headrace dev --auth`: the same at every start with a folder."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from headrace.auth.clients import APPROVE, Client, ClientsFile
from headrace.auth.hashing import RandomBytes, hashed, matches
from headrace.auth.secret_files import write_private
from headrace.clock import Clock, date_time
from headrace.errors import InvalidValue

FILE = "dev-client.json"
CLIENT_ID = "dev"
SERVICES = ("orchestration", "ledger", "wallets", "payments")
SCOPES = (*(f"{service}:{access}" for service in SERVICES for access in ("read", "write")), APPROVE)


class _Kept(msgspec.Struct):
    client_id: str
    client_secret: str


@dataclass(frozen=True, slots=True)
class Developer:
    client_id: str
    client_secret: str = field(repr=False)


def developer_client(file: ClientsFile, folder: Path, clock: Clock, random_bytes: RandomBytes) -> Developer:
    """Create or read the client. Its secret is stored in plain text in the data folder, which `serve` never does."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    kept = _kept(folder / FILE, random_bytes)
    known = file.read().get(kept.client_id)
    if known is None or known.scopes != SCOPES or not matches(kept.client_secret, known.secret):
        secret = hashed(kept.client_secret, random_bytes)
        made_at = date_time(clock.now_at())
        file.put(Client(kept.client_id, SCOPES, secret, "the dev program", made_at))
    return Developer(kept.client_id, kept.client_secret)


def _kept(path: Path, random_bytes: RandomBytes) -> _Kept:
    try:
        return msgspec.json.decode(path.read_bytes(), type=_Kept)
    except FileNotFoundError:
        kept = _Kept(CLIENT_ID, random_bytes(24).hex())
        write_private(path, msgspec.json.encode(kept) + b"\n")
        return kept
    except (msgspec.MsgspecError, ValueError) as error:
        raise InvalidValue(str(path), f"cannot be read: {error}; delete it to create another") from None
