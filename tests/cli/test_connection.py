"""Which server, and as whom: options, then the environment, then the profile, then the default."""

from __future__ import annotations

import pytest

from headrace.cli.connection import Connection, connection_of
from headrace.cli.errors import Failure
from headrace.cli.profile_file import Profile, Profiles
from headrace.errors import InvalidValue

PROD = Profile("https://prod.example", client_id="prod", client_secret="of prod", token_url="/token")
NAMED = {
    "prod": PROD,
    "test": Profile("https://test.example", token="t"),
    "open": Profile("http://open.example"),
    "half": Profile("https://half.example", client_id="half"),
}


def connect(
    server: str | None = None, profile: str | None = None, current: str | None = None, **environ: str
) -> Connection:
    return connection_of(
        server, profile, {f"HEADRACE_{name}": value for name, value in environ.items()}, Profiles(current, NAMED)
    )


def client_of(connection: Connection) -> str | None:
    return None if connection.identity is None else connection.identity.client_id or connection.identity.token


@pytest.mark.parametrize(
    ("found", "server", "identity"),
    [
        (connect(), "http://127.0.0.1:8484", None),
        (connect(current="prod"), "https://prod.example", "prod"),
        (connect(current="prod", PROFILE="test"), "https://test.example", "t"),
        (connect(current="prod", PROFILE=""), "https://prod.example", "prod"),
        (connect(profile="prod", PROFILE="test"), "https://prod.example", "prod"),
        # the environment comes before the profile by default, and after one that is named in the command
        (connect(current="prod", SERVER="http://env"), "http://env", None),
        (connect(profile="prod", SERVER="http://env"), "https://prod.example", "prod"),
        (connect(current="prod", CLIENT_ID="env", CLIENT_SECRET="s"), "https://prod.example", "env"),
        (connect(profile="prod", CLIENT_ID="env", CLIENT_SECRET="s"), "https://prod.example", "prod"),
        (connect(profile="open", CLIENT_ID="env", CLIENT_SECRET="s"), "http://open.example", "env"),
        (connect(TOKEN="token", CLIENT_ID="env", CLIENT_SECRET="s"), "http://127.0.0.1:8484", "token"),
        (connect("http://said", SERVER="http://env"), "http://said", None),
        (connect("https://prod.example/", "prod"), "https://prod.example", "prod"),
    ],
)
def test_the_first_that_has_it(found: Connection, server: str, identity: str | None) -> None:
    assert (found.server, client_of(found)) == (server, identity)


@pytest.mark.parametrize("server", ["http://prod.example", "https://prod.example.evil", "https://prod.example:8443"])
def test_a_profiles_secrets_never_go_to_another_server(server: str) -> None:
    for found in (connect(server, "prod"), connect(current="prod", SERVER=server), connect(server, PROFILE="prod")):
        assert found.identity is None
        assert found.withheld_for == "https://prod.example"
    assert client_of(connect(server, "prod", CLIENT_ID="env", CLIENT_SECRET="s")) == "env"


def test_a_path_of_the_same_server_is_no_other_server() -> None:
    assert client_of(connect("https://PROD.example/prefix", "prod")) == "prod"


def test_a_secret_may_be_left_to_the_environment() -> None:
    found = connect(current="half", CLIENT_SECRET="s").identity
    assert found is not None
    assert (found.client_id, found.client_secret) == ("half", "s")
    assert connect(current="half").identity is None
    elsewhere = connect("https://prod.example", "half", CLIENT_ID="env", CLIENT_SECRET="s").identity
    assert elsewhere is not None and elsewhere.client_id == "env"


def test_a_secret_of_one_client_is_never_sent_as_anothers() -> None:
    found = connect(profile="half", CLIENT_ID="env", CLIENT_SECRET="s").identity
    assert found is not None
    assert (found.client_id, found.client_secret) == ("env", "s")


@pytest.mark.parametrize("environ", [{"CLIENT_ID": "a"}, {"CLIENT_SECRET": "b"}])
def test_half_of_the_credentials_is_an_error(environ: dict[str, str]) -> None:
    with pytest.raises(InvalidValue, match="HEADRACE_CLIENT_"):
        connect(**environ)


def test_what_is_wrong_is_named() -> None:
    with pytest.raises(InvalidValue, match="HEADRACE_SERVER"):
        connect(SERVER="localhost:8484")
    with pytest.raises(InvalidValue, match="--server"):
        connect("localhost:8484")
    for address in ("http://", "http://[", "http://h:99999", "ftp://h", " http://h"):
        with pytest.raises(InvalidValue, match=r"HEADRACE_SERVER: .* is not an http:// or https:// address"):
            connect(SERVER=address)
    with pytest.raises(InvalidValue, match="--server: must not hold credentials") as caught:
        connect("http://me:hush@h")
    assert "hush" not in str(caught.value)
    with pytest.raises(InvalidValue, match="HEADRACE_TOKEN: a token is visible ASCII"):
        connect(TOKEN="two words")
    with pytest.raises(Failure, match="unknown"):
        connect(PROFILE="unknown")


def test_no_secret_is_in_a_text_about_it() -> None:
    for found in (connect(current="prod"), connect(current="test", TOKEN="of-prod")):
        assert "of prod" not in repr(found) and "of-prod" not in repr(found)
