"""Our own keys: in a file nobody else reads, exchanged by age, and a token outlives exchange and restart."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import pytest
import structlog
from joserfc import jws

from headrace.auth.signing import AHEAD, Rotation, SigningKeys
from headrace.errors import InvalidValue, NotAuthenticated
from tests.auth.clocks import Hands

DAY_S = 86_400
HOUR_S = AHEAD // 1_000_000
ROTATION = Rotation(days=30, overlap_days=7)


@pytest.fixture
def clock() -> Hands:
    return Hands()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "signing-keys.json"


def opened(path: Path, clock: Hands, rotation: Rotation = ROTATION) -> SigningKeys:
    names = itertools.count(path.read_text().count('"signsFrom"') + 1 if path.exists() else 1)
    return SigningKeys(path, rotation, clock.now_at, lambda: f"key-{next(names)}")


def published(keys: SigningKeys) -> list[str]:
    return [key["kid"] for key in keys.jwks()["keys"]]


def test_the_first_key_signs_at_once(path: Path, clock: Hands) -> None:
    keys = opened(path, clock)
    assert keys.signing_key().kid == "key-1"
    (shown,) = keys.jwks()["keys"]
    assert (shown["kid"], shown["alg"], shown["use"], shown["crv"]) == ("key-1", "ES256", "sig", "P-256")


def test_nobody_else_reads_the_file_and_no_private_part_is_published(path: Path, clock: Hands) -> None:
    keys = opened(path, clock, Rotation("RS256"))
    assert path.stat().st_mode & 0o777 == 0o600
    assert list(path.parent.iterdir()) == [path], "nothing is left beside it"
    stored = json.loads(path.read_text())["keys"][0]["jwk"]
    assert "d" in stored
    assert set(keys.jwks()["keys"][0]) == {"kty", "n", "e", "kid", "use", "alg"}
    assert stored["d"] not in json.dumps(keys.jwks())


async def test_the_course_of_two_keys(path: Path, clock: Hands) -> None:
    keys = opened(path, clock)
    clock.pass_(30 * DAY_S - HOUR_S - 1)
    assert published(keys) == ["key-1"]
    clock.pass_(1)
    assert published(keys) == ["key-1", "key-2"], "an hour before it signs it is there for others"
    assert keys.signing_key().kid == "key-1"
    clock.pass_(HOUR_S)
    assert keys.signing_key().kid == "key-2"
    clock.pass_(7 * DAY_S - 1)
    assert published(keys) == ["key-1", "key-2"]
    assert (await keys.key_for("key-1", "ES256")).kid == "key-1"
    clock.pass_(1)
    assert published(keys) == ["key-2"]
    with pytest.raises(NotAuthenticated):
        await keys.key_for("key-1", "ES256")


async def test_what_was_signed_before_a_restart_is_good_after_it(path: Path, clock: Hands) -> None:
    key = opened(path, clock).signing_key()
    signed = jws.serialize_compact({"alg": key.algorithm}, b"x", key.jwk, algorithms=[key.algorithm])
    for pause_s in (1, 30 * DAY_S, 1, HOUR_S, 7 * DAY_S - HOUR_S - 10):
        clock.pass_(pause_s)
        keys = opened(path, clock)  # a restart each time
        found = await keys.key_for(key.kid, key.algorithm)
        assert jws.deserialize_compact(signed, found.jwk, algorithms=["ES256"]).payload == b"x"


def test_the_file_is_written_only_when_something_changes(path: Path, clock: Hands) -> None:
    keys = opened(path, clock)
    before = path.stat().st_mtime_ns, path.stat().st_ino
    for _ in range(100):
        clock.pass_(3_600)
        keys.signing_key()
    assert (path.stat().st_mtime_ns, path.stat().st_ino) == before


def test_after_a_long_pause_there_is_a_key_at_once(path: Path, clock: Hands) -> None:
    opened(path, clock)
    clock.pass_(400 * DAY_S)
    keys = opened(path, clock)
    assert keys.signing_key().kid == "key-1", "until others can know the new one"
    clock.pass_(HOUR_S)
    assert keys.signing_key().kid == "key-2"


def test_a_clock_that_goes_back_still_finds_a_key(path: Path, clock: Hands) -> None:
    keys = opened(path, clock)
    clock.pass_(-365 * DAY_S)
    assert keys.signing_key().kid == "key-1"


def test_another_algorithm_comes_with_the_next_key(path: Path, clock: Hands) -> None:
    opened(path, clock)
    keys = opened(path, clock, Rotation("RS256"))
    assert keys.signing_key().algorithm == "ES256"
    clock.pass_(HOUR_S)
    assert keys.signing_key().algorithm == "RS256"
    assert published(keys) == ["key-1", "key-2"]


def test_a_disk_that_is_full_stops_nobody(path: Path, clock: Hands, monkeypatch: pytest.MonkeyPatch) -> None:
    keys = opened(path, clock)
    tries: list[int] = []

    def full(*_: Any) -> None:
        tries.append(1)
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr("headrace.auth.signing.write_private", full)
        clock.pass_(31 * DAY_S)
        for _ in range(10):
            assert keys.signing_key().kid == "key-1"
    assert len(tries) == 1, "not at every request"
    clock.pass_(61)
    assert len(published(keys)) == 2


@pytest.mark.parametrize(("mode", "is_told"), [(0o600, False), (0o400, False), (0o640, True), (0o602, True)])
def test_a_file_that_others_can_read_is_told_of(path: Path, clock: Hands, mode: int, is_told: bool) -> None:
    """As after a restore from a backup."""
    opened(path, clock)
    path.chmod(mode)
    with structlog.testing.capture_logs() as lines:
        assert opened(path, clock).signing_key().kid == "key-1"
    assert [line["log_level"] for line in lines] == (["warning"] if is_told else [])


_NO_KEY = {"kid": "k", "algorithm": "ES256", "createdAt": 1, "signsFrom": 1, "jwk": {"kty": "EC", "d": "x"}}


@pytest.mark.parametrize(
    "content",
    [
        *("", "{", "[]", '{"keys": 5}', '{"keys": [{}]}', '{"keys": [], "more": 1}'),
        json.dumps({"keys": [_NO_KEY]}),
    ],
)
def test_a_file_that_is_none_of_ours_is_not_overwritten(path: Path, clock: Hands, content: str) -> None:
    path.write_text(content)
    with pytest.raises(InvalidValue, match="is not a file of signing keys"):
        opened(path, clock)
    assert path.read_text() == content
