"""What starts, what refuses to, and what is imported for it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest

from headrace.cli import servers
from headrace.cli.connection import DEFAULT_SERVER
from headrace.settings import Settings

Headrace = Callable[..., Any]

HEAVY = ["starlette", "uvicorn", "aiohttp", "alembic", "sqlalchemy", "httpx2", "headrace_client", "msgspec", "yaml"]


def test_help_imports_nothing_heavy() -> None:
    program = (
        "import sys; sys.argv = ['headrace', '--help']\n"
        "from headrace.cli.main import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        f"assert not set({HEAVY!r}) & set(sys.modules), sorted(set({HEAVY!r}) & set(sys.modules))"
    )
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    for command in ("dev", "serve", "demo", "workflows", "instances", "Exit codes"):
        assert command in ran.stdout


def test_version(headrace: Headrace) -> None:
    ran = headrace("--version")
    assert ran.code == 0
    assert ran.out.startswith("headrace 0.")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["serve"], "authentication"),
        (["serve", "--auth", "none", "--host", "0.0.0.0"], "loopback"),
        (["serve", "--auth", "none", "--host", "example.com"], "loopback"),
        (["serve", "--auth", "oidc"], "HEADRACE_ISSUER"),
        (["serve", "--auth", "ldap"], "local, oidc or none"),
        (["serve", "--auth", "local"], "HEADRACE_LEDGER_URL"),
        (["clients", "create", "--scope", "root", "--data", "/nowhere"], "scope"),
        (["serve", "--auth", "none"], "HEADRACE_LEDGER_URL"),
        (["dev", "--ephemeral", "--data", "x"], "exclude each other"),
        (["dev", "--ephemeral", "--port", "0", "--host", "0.0.0.0"], "--open-to-network"),
        (["dev", "--ephemeral", "--port", "0", "--host", "::"], "loopback"),
        (["dev", "--port", "70000"], "65535"),
        (["dev", "--ephemeral", "--port", "0", "--fault", "ledger:nonsense:2"], "fault"),
        (["workflows", "run"], "WORKFLOW"),
        (["workflows", "list", "--server", "localhost:8484"], "http://"),
        (["-o", "xml", "workflows", "list"], "json"),
        (["nonsense"], "nonsense"),
    ],
)
def test_usage_errors_say_what_is_wrong(headrace: Headrace, arguments: list[str], says: str) -> None:
    ran = headrace(*arguments)
    assert ran.code == 2
    assert says in ran.err
    assert ran.out == ""


def test_serve_names_only_the_missing_services(headrace: Headrace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEADRACE_LEDGER_URL", "http://127.0.0.1:1")
    ran = headrace("serve", "--auth", "none")
    assert ran.code == 2
    assert "not set: HEADRACE_WALLETS_URL, HEADRACE_PAYMENTS_URL" in ran.err


def test_a_bad_setting_is_named(headrace: Headrace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEADRACE_SETTLE_S", "soon")
    ran = headrace("dev", "--ephemeral", "--port", "0")
    assert ran.code == 2
    assert "HEADRACE_SETTLE_S" in ran.err


def test_no_server_says_how_to_start_one(headrace: Headrace) -> None:
    ran = headrace("workflows", "list", "--server", "http://127.0.0.1:1")
    assert ran.code == 3
    assert "headrace dev" in ran.err


@pytest.mark.parametrize(
    ("url", "line"),
    [
        (DEFAULT_SERVER, "headrace workflows create FILE   ("),
        ("http://127.0.0.1:9", "headrace workflows create FILE --server http://127.0.0.1:9   ("),
    ],
)
def test_what_dev_tells_to_try_reaches_it(capsys: pytest.CaptureFixture[str], url: str, line: str) -> None:
    servers._announce_dev(url, None, Settings(), (), ())  # pyright: ignore[reportPrivateUsage]
    assert line in capsys.readouterr().out


@pytest.mark.parametrize("arguments", [["--open-to-network"], ["--auth"]])
def test_dev_listens_at_any_address_by_an_option_or_with_authentication(
    headrace: Headrace, monkeypatch: pytest.MonkeyPatch, arguments: list[str]
) -> None:
    served: list[str | None] = []

    def record(settings: object, host: str | None, *others: object, **more: object) -> None:
        served.append(host)

    monkeypatch.setattr(servers, "_serve", record)
    assert headrace("dev", "--ephemeral", "--host", "0.0.0.0", *arguments).code == 0
    assert served == ["0.0.0.0"]


@pytest.mark.parametrize("secret", ["s3cret\n", " s3cret", "s3cret\r\n", "s3c\nret"])
@pytest.mark.parametrize("name", ["STACK_CLIENT_SECRET", "STACK_CLIENT_ID", "BROKER_PASSWORD", "BROKER_USERNAME"])
def test_a_secret_with_a_line_end_is_refused_and_never_shown(
    headrace: Headrace, monkeypatch: pytest.MonkeyPatch, name: str, secret: str
) -> None:
    for setting in ("STACK_CLIENT_ID", "STACK_CLIENT_SECRET"):
        monkeypatch.setenv(f"HEADRACE_{setting}", "x")
    monkeypatch.setenv("HEADRACE_STACK_URL", "http://127.0.0.1:1")
    monkeypatch.setenv(f"HEADRACE_{name}", secret)
    ran = headrace("serve", "--auth", "none", "--port", "0")
    assert ran.code == 2
    assert f"HEADRACE_{name}" in ran.err and "strip it" in " ".join(ran.err.split())
    assert "s3c" not in ran.err or not name.endswith(("SECRET", "PASSWORD"))


@pytest.mark.parametrize("name", ["CLIENT_SECRET", "CLIENT_ID", "TOKEN"])
def test_credentials_of_the_command_line_with_a_line_end_are_refused(
    headrace: Headrace, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    for setting in ("CLIENT_ID", "CLIENT_SECRET"):
        monkeypatch.setenv(f"HEADRACE_{setting}", "x")
    monkeypatch.setenv(f"HEADRACE_{name}", "s3cret\n")
    ran = headrace("workflows", "list", "--server", "http://127.0.0.1:1")
    assert ran.code == 2
    assert f"HEADRACE_{name}" in ran.err and "strip" in ran.err and "s3c" not in ran.err


@pytest.mark.parametrize("server", ["http://127.0.0.1:1", "http://localhost:1", "http://127.9.9.9:1"])
def test_a_loopback_server_is_asked_directly_whatever_the_proxy(
    headrace: Headrace, monkeypatch: pytest.MonkeyPatch, server: str
) -> None:
    """The proxy's name cannot be resolved, so that a request that went there would say so."""
    for name in ("HTTP_PROXY", "http_proxy"):
        monkeypatch.setenv(name, "http://proxy.invalid:9")
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    ran = headrace("workflows", "list", "--server", server)
    assert ran.code == 3
    assert "refused" in ran.err.lower(), ran.err
