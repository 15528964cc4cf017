"""The file of clients: secrets hashed, written whole, read again by a server that runs."""

from __future__ import annotations

import itertools
import json
import multiprocessing
import os
import resource
from pathlib import Path
from typing import Any

import pytest

from headrace.auth.clients import READ, WRITE, Client, Clients, ClientsFile
from headrace.auth.developer import SCOPES, developer_client
from headrace.auth.hashing import hashed, is_hash, matches
from headrace.errors import InvalidValue, NotFound
from tests.auth.clocks import Hands


@pytest.fixture
def clock() -> Hands:
    return Hands()


@pytest.fixture
def file(tmp_path: Path) -> ClientsFile:
    return ClientsFile(tmp_path / "folder" / "clients.json")


def test_a_secret_is_shown_once_and_kept_as_a_hash(file: ClientsFile, clock: Hands) -> None:
    created = file.create("billing", [READ], clock, os.urandom)
    text = file.path.read_text()
    assert created.secret not in text
    assert created.secret not in repr(created)
    assert len(created.secret) == 64
    stored = file.read()[created.client.id]
    assert matches(created.secret, stored.secret)
    assert not matches(created.secret + "x", stored.secret)
    assert (stored.name, stored.scopes, stored.created_at[:4]) == ("billing", (READ,), "2027")
    assert file.path.stat().st_mode & 0o777 == 0o600


def test_two_equal_secrets_have_different_hashes() -> None:
    first, second = hashed("same", os.urandom), hashed("same", os.urandom)
    assert first != second
    assert is_hash(first) and matches("same", first) and matches("same", second)


@pytest.mark.parametrize(
    "stored",
    [
        "",
        "plain",
        "scrypt$16384$8$1$c2FsdHNhbHQ",
        "scrypt$16385$8$1$c2FsdHNhbHQ$ZGlnZXN0ZGlnZXN0ZGlnZXN0ZGlnZXN0",
        "scrypt$0$8$1$c2FsdHNhbHQ$ZGlnZXN0ZGlnZXN0ZGlnZXN0ZGlnZXN0",
        "scrypt$1$8$1$c2FsdHNhbHQ$ZGlnZXN0ZGlnZXN0ZGlnZXN0ZGlnZXN0",
        "scrypt$1048576$8$16$c2FsdHNhbHQ$ZGlnZXN0ZGlnZXN0ZGlnZXN0ZGlnZXN0",
        "scrypt$16384$0$1$c2FsdHNhbHQ$ZGlnZXN0ZGlnZXN0ZGlnZXN0ZGlnZXN0",
        "bcrypt$16384$8$1$c2FsdHNhbHQ$ZGlnZXN0ZGlnZXN0ZGlnZXN0ZGlnZXN0",
        "scrypt$16384$8$1$c2Fsd!HNhbHQ$ZGlnZXN0ZGlnZXN0ZGlnZXN0ZGlnZXN0",
    ],
)
def test_what_is_no_hash_or_costs_too_much(stored: str) -> None:
    assert not is_hash(stored)


def test_clients_come_and_go(file: ClientsFile, clock: Hands) -> None:
    assert file.read() == {}
    ids = [file.create(str(number), [WRITE], clock, os.urandom).client.id for number in range(3)]
    assert list(file.read()) == ids
    file.delete(ids[1])
    assert list(file.read()) == [ids[0], ids[2]]
    with pytest.raises(NotFound):
        file.delete(ids[1])


@pytest.mark.parametrize(
    "scope", ["", "read", "orchestration", "orchestration:admin", "wallets:approve", "a b:read", "A:read", "*:write"]
)
def test_a_scope_that_is_none_makes_no_client(file: ClientsFile, clock: Hands, scope: str) -> None:
    with pytest.raises(InvalidValue, match="scope"):
        file.create("x", [scope], clock, os.urandom)
    assert file.read() == {}


@pytest.mark.parametrize("name", ["x" * 201, "a\nb", "a\x1b[2J", "\udcff"])
def test_a_name_that_the_file_cannot_hold_makes_no_client(file: ClientsFile, clock: Hands, name: str) -> None:
    """Else nobody could read the file again: no command, and no server at its next start."""
    first = file.create("é" * 200, [READ], clock, os.urandom).client
    with pytest.raises(InvalidValue, match=r"^name: "):
        file.create(name, [READ], clock, os.urandom)
    assert list(file.read()) == [first.id]


def _create(path: Path, count: int) -> None:
    for number in range(count):
        client = Client(f"{os.getpid()}-{number}", (READ,), hashed("x", os.urandom))
        ClientsFile(path).put(client)


def test_two_processes_lose_nobody(file: ClientsFile) -> None:
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=_create, args=(file.path, 10)) for _ in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
        assert worker.exitcode == 0
    assert len(file.read()) == 20


def test_a_write_that_fails_leaves_the_old_file(
    file: ClientsFile, clock: Hands, monkeypatch: pytest.MonkeyPatch
) -> None:
    file.create("first", [READ], clock, os.urandom)
    before = file.path.read_bytes()

    def fail(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("headrace.auth.secret_files.os.fsync", fail)
    with pytest.raises(OSError, match="No space"):
        file.create("second", [READ], clock, os.urandom)
    assert file.path.read_bytes() == before
    assert sorted(path.name for path in file.path.parent.iterdir()) == ["clients.json", "clients.json.lock"]


@pytest.mark.parametrize(("user_id", "is_handed_over"), [(0, True), (1_000, False)])
def test_what_root_changes_stays_the_servers(
    file: ClientsFile, clock: Hands, monkeypatch: pytest.MonkeyPatch, user_id: int, is_handed_over: bool
) -> None:
    given: list[tuple[int, int]] = []
    monkeypatch.setattr("headrace.auth.secret_files.os.geteuid", lambda: user_id)
    monkeypatch.setattr("headrace.auth.secret_files.os.fchown", lambda _, user, group: given.append((user, group)))
    for _ in range(2):
        file.create("x", [READ], clock, os.urandom)
    owner = file.path.parent.stat()
    lock_and_two_writes = [(owner.st_uid, owner.st_gid)] * 3
    assert given == (lock_and_two_writes if is_handed_over else [])


_HASH = hashed("x", lambda size: b"\1" * size)


@pytest.mark.parametrize(
    "content",
    [
        "",
        "{",
        "[]",
        '{"clients": {}}',
        '{"clients": [{"id": "a"}]}',
        json.dumps({"clients": [{"id": "a", "scopes": [READ], "secret": "plain text"}]}),
        json.dumps({"clients": [{"id": "a", "scopes": ["root"], "secret": _HASH}]}),
        json.dumps({"clients": [{"id": "a b", "scopes": [READ], "secret": _HASH}]}),
        json.dumps({"clients": [{"id": "a", "scopes": [READ], "secret": _HASH}] * 2}),
        json.dumps({"clients": [{"id": "a", "scopes": [READ], "secret": _HASH, "admin": True}]}),
    ],
)
def test_a_file_that_cannot_be_right(file: ClientsFile, clock: Hands, content: str) -> None:
    file.path.parent.mkdir()
    file.path.write_text(content)
    with pytest.raises(InvalidValue) as caught:
        file.read()
    assert "plain text" not in str(caught.value)
    with pytest.raises(InvalidValue):
        file.create("x", [READ], clock, os.urandom)
    with pytest.raises(InvalidValue):
        Clients(file, clock.monotonic_s)
    assert file.path.read_text() == content


# a server that runs


def test_a_server_reads_again_what_has_changed(file: ClientsFile, clock: Hands) -> None:
    first = file.create("first", [READ], clock, os.urandom).client
    clients = Clients(file, clock.monotonic_s)
    second = file.create("second", [READ], clock, os.urandom).client
    file.delete(first.id)
    assert clients.get(first.id), "it looks for what it knows once a second at most"
    clock.pass_(1)
    assert not clients.get(first.id) and clients.get(second.id)


def test_a_new_client_is_known_at_once(file: ClientsFile, clock: Hands) -> None:
    """Who has just created it uses it in the next command."""
    clients = Clients(file, clock.monotonic_s)
    made = file.create("first", [READ], clock, os.urandom).client
    assert clients.get(made.id) and not clients.get("another")


def test_a_file_that_breaks_while_a_server_runs_changes_nothing(file: ClientsFile, clock: Hands) -> None:
    first = file.create("first", [READ], clock, os.urandom).client
    clients = Clients(file, clock.monotonic_s)
    good = file.path.read_bytes()
    file.path.write_text("{")
    clock.pass_(1)
    assert clients.get(first.id)
    file.path.write_bytes(good.replace(b'"first"', b'"again"'))
    clock.pass_(1)
    found = clients.get(first.id)
    assert found and found.name == "again"


def test_what_is_put_back_with_its_old_dates_is_seen(file: ClientsFile, clock: Hands) -> None:
    """As `cp -p` and `rsync -t` do; it has the old size too."""
    first = file.create("first", [READ], clock, os.urandom).client
    clients = Clients(file, clock.monotonic_s)
    before = file.path.stat()
    file.path.write_bytes(file.path.read_bytes().replace(first.id.encode(), b"x" * len(first.id)))
    while file.path.stat().st_ctime_ns == before.st_ctime_ns or file.path.stat().st_mtime_ns != before.st_mtime_ns:
        os.utime(file.path, ns=(before.st_atime_ns, before.st_mtime_ns))
    clock.pass_(1)
    assert clients.get(first.id) is None


def test_a_file_that_cannot_be_opened_for_a_moment_is_read_later(file: ClientsFile, clock: Hands) -> None:
    """Where a process has too many files open, a deleted client must not stay for good."""
    first = file.create("first", [READ], clock, os.urandom).client
    clients = Clients(file, clock.monotonic_s)
    file.delete(first.id)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, hard))
    try:
        clock.pass_(1)
        assert clients.get(first.id)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    clock.pass_(1)
    assert clients.get(first.id) is None


def test_a_file_that_is_gone_has_no_clients(file: ClientsFile, clock: Hands) -> None:
    first = file.create("first", [READ], clock, os.urandom).client
    clients = Clients(file, clock.monotonic_s)
    file.path.unlink()
    clock.pass_(1)
    assert clients.get(first.id) is None


# the developer's client


def _bytes() -> Any:
    numbers = itertools.count(1)
    return lambda size: bytes([next(numbers) % 256]) * size


def test_the_developers_client_stays_the_same(file: ClientsFile, clock: Hands, tmp_path: Path) -> None:
    folder, random_bytes = tmp_path / "data", _bytes()
    first = developer_client(file, folder, clock, random_bytes)
    content = file.path.read_bytes()
    assert developer_client(file, folder, clock, random_bytes) == first
    assert file.path.read_bytes() == content
    assert (folder / "dev-client.json").stat().st_mode & 0o777 == 0o600
    assert first.client_secret not in repr(first)
    assert (file.read()["dev"].scopes, file.read()["dev"].name) == (SCOPES, "the dev program")
    file.delete("dev")
    assert developer_client(file, folder, clock, random_bytes) == first
    assert matches(first.client_secret, file.read()["dev"].secret)


def test_a_developers_file_that_cannot_be_read_says_what_to_do(file: ClientsFile, clock: Hands, tmp_path: Path) -> None:
    (tmp_path / "dev-client.json").write_text("{")
    with pytest.raises(InvalidValue, match="delete it"):
        developer_client(file, tmp_path, clock, os.urandom)
