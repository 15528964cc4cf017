"""`headrace profiles` and the file behind it."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
import threading
import tomllib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from headrace.cli.errors import Failure
from headrace.cli.profile_file import (
    Profile,
    Profiles,
    change_profiles,
    profile_path,
    read_profiles,
    write_profiles,
)
from tests.support.server import Server

Headrace = Callable[..., Any]


@pytest.fixture
def path(headrace: Headrace) -> Path:
    return Path(os.environ["HEADRACE_CONFIG"])


def test_made_shown_used_deleted(headrace: Headrace, path: Path) -> None:
    assert headrace("profiles", "list").out.startswith("No profiles.")
    made = headrace("profiles", "set", "prod", "--server", "https://pay.example/", "--client-id", "me")
    assert made.code == 0 and str(path) in made.out
    assert headrace("profiles", "set", "prod", "--client-secret", "-", stdin="hush\n").code == 0
    assert read_profiles(path).named["prod"] == Profile("https://pay.example", "me", "hush")
    assert headrace("profiles", "use", "prod").code == 0
    assert headrace("profiles", "list").out.splitlines()[1].split() == [
        "*",
        "prod",
        "https://pay.example",
        "client",
        "me",
    ]
    assert "https://pay.example (profile prod)" in headrace("profiles", "show").out
    assert headrace("profiles", "use", "--none").code == 0
    assert "(default)" in headrace("profiles", "show").out
    headrace("profiles", "use", "prod")
    assert headrace("profiles", "delete", "prod").code == 0
    assert read_profiles(path) == Profiles()


def test_secrets_are_never_shown(headrace: Headrace) -> None:
    headrace("profiles", "set", "a", "--server", "https://a.example", "--client-id", "me", "--client-secret", "hush")
    headrace("profiles", "set", "b", "--server", "https://b.example", "--token", "hush", "-o", "json")
    for arguments in (("list",), ("show", "a"), ("show", "b"), ("show", "--profile", "a"), ("show", "--profile", "b")):
        for form in ("table", "json", "yaml"):
            ran = headrace("profiles", *arguments, "-o", form)
            assert ran.code == 0
            assert "hush" not in ran.out + ran.err
    assert (
        json.loads(headrace("profiles", "show", "a", "-o", "json").out)["data"]["profile"]["clientSecret"] == "********"
    )


def test_only_its_owner_may_read_the_file(headrace: Headrace, path: Path) -> None:
    headrace("profiles", "set", "a", "--server", "http://127.0.0.1:1", "--token", "hush")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    path.chmod(0o644)
    warned = headrace("workflows", "list", "--profile", "a")
    assert f"chmod 600 {path}" in warned.err and "hush" not in warned.err
    headrace("profiles", "set", "a", "--server", "http://127.0.0.1:2")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [each.name for each in path.parent.iterdir() if each.name.startswith(".")] == []


def test_a_token_and_a_clients_credentials_take_each_others_place(headrace: Headrace, path: Path) -> None:
    headrace("profiles", "set", "a", "--client-id", "me", "--client-secret", "s", "--token-url", "/t")
    headrace("profiles", "set", "a", "--token", "t")
    assert read_profiles(path).named["a"] == Profile(token="t")
    headrace("profiles", "set", "a", "--client-id", "me", "--client-secret", "s")
    assert read_profiles(path).named["a"] == Profile(client_id="me", client_secret="s")
    headrace("profiles", "set", "a", "--client-secret", "", "--server", "http://a.example")
    assert read_profiles(path).named["a"] == Profile("http://a.example", "me")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["set", "a"], "nothing to set"),
        (["set", "a b", "--server", "http://a"], "'a b'"),
        (["set", "a", "--server", "ftp://a"], "--server"),
        (["set", "a", "--token-url", "auth"], "--token-url"),
        (["set", "a", "--token", "a\nb"], "--token"),
        (["set", "a", "--token", "t", "--client-id", "c"], "either a token"),
        (["set", "a", "--token", "-", "--client-secret", "-"], "only one secret"),
        (["set", "a", "--token", "-"], "no token"),
        (["show", "unknown"], "no profile 'unknown'"),
        (["use", "unknown"], "no profile 'unknown'"),
        (["use"], "--none"),
        (["delete", "unknown"], "no profile 'unknown'"),
        (["set", "a", "--server", "http://me:hush@a.example"], "--server: must not hold credentials"),
        (["set", "a", "--server", "http://a.example?b"], "--server: 'http://a.example?b' must end with its path"),
        (["set", "a", "--token", "two words"], "--token: a token is visible ASCII"),
    ],
)
def test_what_is_refused_changes_nothing(headrace: Headrace, path: Path, arguments: list[str], says: str) -> None:
    ran = headrace("profiles", *arguments)
    assert ran.code == 2
    assert says in ran.err
    assert not path.exists()


def test_a_profile_reaches_its_server(headrace: Headrace, shared_server: Server) -> None:
    headrace("profiles", "set", "here", "--server", shared_server.url)
    assert headrace("workflows", "list", "--profile", "here").code == 0
    assert headrace("--profile", "here", "workflows", "list").code == 0
    assert headrace("workflows", "list", "--profile", "here", "--server", "http://127.0.0.1:1").code == 3
    assert headrace("workflows", "list", "--profile", "elsewhere").code == 2


def test_an_option_before_the_command_comes_before_the_environment(
    headrace: Headrace, shared_server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HEADRACE_SERVER", "http://127.0.0.1:1")
    assert headrace("workflows", "list").code == 3
    assert headrace("--server", shared_server.url, "workflows", "list").code == 0


# the file


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("x = 1", "x is unknown"),
        ("[profiles.a]\nsever = 'http://a'", "profiles.a.sever is unknown"),
        ("[profiles.a]\nserver = 1", "profiles.a.server must be text"),
        ("[profiles]\na = 1", "profiles.a must be a table"),
        ("profiles = 1", "profiles must be a table"),
        ("[profiles.'a b']", "'a b'"),
        ("current = 'a'", "no profile 'a'"),
        ("current = ['a']", "current must be text"),
        ("a = [\nb = 1", "line 2"),
    ],
)
def test_a_file_that_cannot_be_understood_is_said(tmp_path: Path, text: str, says: str) -> None:
    (tmp_path / "config.toml").write_text(text)
    with pytest.raises(Failure, match=r"config\.toml") as caught:
        read_profiles(tmp_path / "config.toml")
    assert says in str(caught.value)


VALUES = st.none() | st.text(st.characters(exclude_categories=["Cs"]), min_size=1)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.builds(Profile, VALUES, VALUES, VALUES, VALUES, VALUES))
def test_what_is_written_is_read(tmp_path_factory: pytest.TempPathFactory, profile: Profile) -> None:
    path = tmp_path_factory.mktemp("profiles") / "new" / "config.toml"
    profiles = Profiles("a.b", {"a.b": profile, "c": Profile()})
    write_profiles(path, profiles)
    assert read_profiles(path) == profiles
    assert tomllib.loads(path.read_text())["current"] == "a.b"


def test_a_write_that_fails_leaves_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "config.toml"
    write_profiles(path, Profiles("a", {"a": Profile("http://a.example")}))
    monkeypatch.setattr(os, "fsync", lambda _: (_ for _ in ()).throw(OSError("the disk is full")))
    with pytest.raises(OSError, match="full"):
        write_profiles(path, Profiles())
    assert read_profiles(path).current == "a"
    assert list(tmp_path.iterdir()) == [path]


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    link = tmp_path / "config.toml"
    link.symlink_to(tmp_path / "elsewhere.toml")
    write_profiles(link, Profiles(None, {"a": Profile("http://a.example")}))
    assert link.is_symlink()
    assert "a" in read_profiles(tmp_path / "elsewhere.toml").named


def test_of_many_changes_at_once_none_is_lost(headrace: Headrace, path: Path) -> None:
    names = [f"p{number}" for number in range(6)]
    code = "import sys; from headrace.cli.main import main; sys.stdin.readline(); main()"
    changes = [
        subprocess.Popen(
            [sys.executable, "-c", code, "profiles", "set", name, "--server", "http://a.example"],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
        )
        for name in names
    ]
    for change in changes:
        assert change.stdin is not None
        change.stdin.write(b"\n")
        change.stdin.close()
    assert [change.wait(timeout=60) for change in changes] == [0] * len(names)
    assert sorted(read_profiles(path).named) == names


def test_a_change_waits_for_the_one_before(tmp_path: Path) -> None:
    path, order = tmp_path / "config.toml", list[str]()
    inside, may_end = threading.Event(), threading.Event()

    def first(profiles: Profiles) -> Profiles:
        inside.set()
        assert may_end.wait(timeout=60)
        order.append("first")
        return Profiles(None, {**profiles.named, "a": Profile("http://a.example")})

    def second(profiles: Profiles) -> Profiles:
        order.append("second")
        return Profiles(None, {**profiles.named, "b": Profile("http://b.example")})

    with ThreadPoolExecutor(2) as pool:
        changes = [pool.submit(change_profiles, path, first)]
        assert inside.wait(timeout=60)
        changes.append(pool.submit(change_profiles, path, second))
        may_end.set()
        assert [sorted(change.result()[1].named) for change in changes] == [["a"], ["a", "b"]]
    assert order == ["first", "second"]


def test_without_a_home_there_are_no_profiles(headrace: Headrace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HEADRACE_CONFIG")
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    monkeypatch.setattr(Path, "expanduser", _homeless)
    assert headrace("workflows", "list", "--server", "http://127.0.0.1:1").code == 3
    ran = headrace("profiles", "set", "a", "--server", "http://a.example")
    assert (ran.code, "HEADRACE_CONFIG" in ran.err) == (2, True)


def _homeless(_: Path) -> Path:
    """What happens to a user without HOME and without an entry in the system's list."""
    raise RuntimeError("Could not determine home directory.")


def test_where_the_file_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/me")
    assert profile_path({}) == Path("/me/.config/headrace/config.toml")
    assert profile_path({"XDG_CONFIG_HOME": "/mine"}) == Path("/mine/headrace/config.toml")
    assert profile_path({"XDG_CONFIG_HOME": "not/absolute"}) == Path("/me/.config/headrace/config.toml")
    assert profile_path({"HEADRACE_CONFIG": "~/x.toml"}) == Path("/me/x.toml")
