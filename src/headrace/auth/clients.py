"""Local clients: ids, scopes and hashed secrets, in a file. `headrace clients` writes it, the server reloads it.

    {"clients": [{"id": "...", "name": "...", "scopes": ["orchestration:read"], "secret": "scrypt$...", ...}]}

A client removed from the file gets no more tokens, and its existing tokens are refused.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import msgspec
import structlog
from msgspec import Meta

from headrace.auth.hashing import RandomBytes, hashed, is_hash
from headrace.auth.principal import Principal
from headrace.auth.secret_files import MAX_BYTES, locked, write_private
from headrace.clock import Clock, date_time
from headrace.errors import InvalidValue, NotFound

FILE = "clients.json"
READ = "orchestration:read"
WRITE = "orchestration:write"
APPROVE = "orchestration:approve"
MAX_CLIENTS = 10_000
MAX_NAME_CHARACTERS = 200
LOOK_EVERY_S = 1.0

_ID = re.compile(r"[A-Za-z0-9._~-]{1,128}")
_SCOPE = re.compile(r"[a-z][a-z0-9_-]{0,63}:(read|write)|orchestration:approve")

_Stamp = tuple[int, int, int, int]

_log = structlog.stdlib.get_logger("headrace.auth")


class Client(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """One client of the file. `secret` is its hash."""

    id: str
    scopes: tuple[str, ...]
    secret: str
    name: Annotated[str, Meta(max_length=MAX_NAME_CHARACTERS)] = ""
    created_at: Annotated[str, Meta(max_length=40)] = ""


class _File(msgspec.Struct, forbid_unknown_fields=True):
    clients: Annotated[list[Client], Meta(max_length=MAX_CLIENTS)]


@dataclass(frozen=True, slots=True)
class Created:
    """A new client and its secret in plain text, which is shown only once."""

    client: Client
    secret: str = field(repr=False)


class ClientStore(ABC):
    """The place of the clients, for programs that change them."""

    @abstractmethod
    def read(self) -> dict[str, Client]:
        """Read the clients by their ids. Raises InvalidValue with the reason where they cannot be read."""

    @abstractmethod
    def put(self, client: Client) -> None:
        """Add a client, or replace the one with its id. Raises InvalidValue where there are too many."""

    @abstractmethod
    def delete(self, client_id: str) -> None:
        """Delete a client. Raises NotFound."""

    def create(self, name: str, scopes: Sequence[str], clock: Clock, random_bytes: RandomBytes) -> Created:
        """Create a client with a fresh id and secret. Raises InvalidValue for an unusable name or unknown scope."""
        if len(name) > MAX_NAME_CHARACTERS or not name.isprintable():
            raise InvalidValue("name", f"must be at most {MAX_NAME_CHARACTERS} printable characters")
        secret = random_bytes(32).hex()
        client = Client(
            id=random_bytes(12).hex(),
            name=name,
            scopes=checked_scopes(scopes),
            secret=hashed(secret, random_bytes),
            created_at=date_time(clock.now_at()),
        )
        self.put(client)
        return Created(client, secret)


class ClientsFile(ClientStore):
    """The file of clients; a missing file has none."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def read(self) -> dict[str, Client]:
        try:
            content = self.path.read_bytes()
        except FileNotFoundError:
            return {}
        try:
            if len(content) > MAX_BYTES:
                raise ValueError(f"has more than {MAX_BYTES} bytes")
            clients = msgspec.json.decode(content, type=_File).clients
            found: dict[str, Client] = {}
            for client in clients:
                if not _ID.fullmatch(client.id) or client.id in found:
                    raise ValueError(f"the id {client.id[:128]!r} is repeated or malformed")
                if not is_hash(client.secret):
                    raise ValueError(f"the secret of {client.id!r} is not a hash; `headrace clients create` writes one")
                checked_scopes(client.scopes)
                found[client.id] = client
            return found
        except (msgspec.MsgspecError, ValueError, RecursionError) as error:
            raise InvalidValue(str(self.path), f"is not a file of clients: {error}") from None

    def put(self, client: Client) -> None:
        with locked(self.path):
            clients = self.read() | {client.id: client}
            if len(clients) > MAX_CLIENTS:
                raise too_many()
            self._write(clients)

    def delete(self, client_id: str) -> None:
        with locked(self.path):
            clients = self.read()
            if clients.pop(client_id, None) is None:
                raise NotFound("client", client_id)
            self._write(clients)

    def _write(self, clients: dict[str, Client]) -> None:
        content = msgspec.json.encode(_File(list(clients.values())))
        write_private(self.path, msgspec.json.format(content, indent=2) + b"\n")


class KnownClients:
    """The clients that a running server knows."""

    def __init__(self, clients: dict[str, Client]) -> None:
        self.replace(clients)

    def replace(self, clients: dict[str, Client]) -> None:
        self._clients = clients
        self._scopes: dict[str, frozenset[str]] = {}

    def get(self, client_id: str) -> Client | None:
        return self._clients.get(client_id)

    def name_of(self, client_id: str) -> str:
        """The name of a client; empty where it has none, or was deleted."""
        client = self.get(client_id)
        return "" if client is None else client.name

    def is_valid(self, principal: Principal) -> bool:
        """True if the client exists and still has every scope of its token."""
        client = self.get(principal.name)
        if client is None:
            return False
        scopes = self._scopes.get(client.id)
        if scopes is None:
            scopes = self._scopes[client.id] = Principal.of(client.id, client.id, client.scopes).scopes
        return principal.scopes <= scopes


class Clients(KnownClients):
    """The clients of a file, reloaded when it has changed: an unknown client is looked for in it at once."""

    def __init__(self, file: ClientsFile, monotonic_s: Callable[[], float]) -> None:
        """Load the file. Raises InvalidValue if it is malformed, so that the server does not start."""
        self._file = file
        self._monotonic_s = monotonic_s
        self._stamp = self._stamp_now()
        self._complained_of: _Stamp | None = None
        super().__init__(file.read())
        self._looked_s = monotonic_s()

    def get(self, client_id: str) -> Client | None:
        if client_id not in self._clients or self._monotonic_s() >= self._looked_s + LOOK_EVERY_S:
            self.reload()
        return super().get(client_id)

    def reload(self) -> None:
        """Reload a changed file. An unreadable file is logged and keeps the current clients.

        A read that failed for another reason than its content is repeated at the next call.
        """
        self._looked_s = self._monotonic_s()
        stamp = self._stamp_now()
        if stamp == self._stamp:
            return
        try:
            self.replace(self._file.read())
        except (InvalidValue, OSError) as error:
            if stamp != self._complained_of:
                _log.error("cannot read the file of clients; keeping the current clients", reason=str(error))
            self._complained_of = stamp
            if isinstance(error, OSError):
                return
        else:
            _log.info("reloaded the file of clients", clients=len(self._clients))
        self._stamp = stamp

    def _stamp_now(self) -> _Stamp | None:
        """Identify the file's version.

        Includes the change time, for new owners and modes and for restored old dates.
        """
        try:
            found = self._file.path.stat()
        except OSError:
            return None
        return found.st_mtime_ns, found.st_ctime_ns, found.st_size, found.st_ino


def too_many() -> InvalidValue:
    return InvalidValue("", f"there are already {MAX_CLIENTS} clients: delete some")


def checked_scopes(scopes: Sequence[str]) -> tuple[str, ...]:
    """Validate scopes. Raises InvalidValue for an unknown one."""
    for scope in scopes:
        if not _SCOPE.fullmatch(scope):
            raise InvalidValue("scope", f"{scope[:80]!r} is not a scope: use {READ}, {WRITE} or {APPROVE}")
    return tuple(dict.fromkeys(scopes))
