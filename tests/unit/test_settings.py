"""Settings: read from the environment, and what is wrong names its variable."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

import pytest

from headrace.errors import InvalidValue
from headrace.settings import Settings, unknown_variables


def test_defaults_are_those_of_the_decisions() -> None:
    settings = Settings.from_env({})
    assert settings == Settings()
    assert (settings.port, settings.settle_s, settings.wait_s) == (8484, 30.0, 50.0)
    assert (settings.max_body_bytes, settings.max_yaml_bytes) == (1 << 20, 256 << 10)
    assert (settings.retry_base_s, settings.retry_cap_s, settings.concurrency) == (1.0, 100.0, 64)
    assert settings.allow_world_from_trigger is False


def test_every_setting_has_a_reader_and_is_explained() -> None:
    for setting in fields(Settings):
        assert callable(setting.metadata["reader"])
        assert setting.metadata["about"].endswith(".")


def test_variables_are_read_and_empty_ones_are_not() -> None:
    settings = Settings.from_env(
        {
            "HEADRACE_PORT": "9000",
            "HEADRACE_DATA": "/srv/headrace",
            "HEADRACE_STACK_URL": "https://stack.example/",
            "HEADRACE_LEDGER_URL": "",
            "HEADRACE_SETTLE_S": "2.5",
            "HEADRACE_ALLOW_WORLD_FROM_TRIGGER": "true",
            "HEADRACE_STACK_CLIENT_ID": "id",
            "HEADRACE_STACK_CLIENT_SECRET": "hunter2",
            "PORT": "1",
        }
    )
    assert (settings.port, settings.data, settings.settle_s) == (9000, Path("/srv/headrace"), 2.5)
    assert (settings.stack_url, settings.ledger_url) == ("https://stack.example", None)
    assert settings.allow_world_from_trigger is True
    assert "hunter2" not in repr(settings)


def test_a_choice_of_the_command_line_wins() -> None:
    assert Settings.from_env({"HEADRACE_PORT": "rubbish"}, port=0).port == 0


@pytest.mark.parametrize(
    ("variable", "text", "says"),
    [
        ("HEADRACE_PORT", "65536", "'65536' is not a whole number from 0 to 65535"),
        ("HEADRACE_PORT", "-1", "whole number"),
        ("HEADRACE_PORT", "\u0665", "whole number"),
        ("HEADRACE_SETTLE_S", "nan", "seconds from 0 to 3600"),
        ("HEADRACE_SETTLE_S", "30s", "seconds"),
        ("HEADRACE_STACK_URL", "stack.example", "a URL such as"),
        ("HEADRACE_STACK_URL", "ftp://stack.example", "a URL such as"),
        ("HEADRACE_STACK_URL", "http://user:pw@stack.example", "without credentials"),
        ("HEADRACE_ALLOW_WORLD_FROM_CALLER", "maybe", "true or false"),
        ("HEADRACE_LOG_FORMAT", "xml", "one of console, json"),
        ("HEADRACE_REMEMBER_DAYS", "6", "from 7"),
        ("HEADRACE_STACK_CLIENT_ID", "id", "set both"),
        ("HEADRACE_RETRY_CAP_S", "0.5", "must not be shorter"),
    ],
)
def test_what_is_wrong_names_its_variable(variable: str, text: str, says: str) -> None:
    with pytest.raises(InvalidValue) as caught:
        Settings.from_env({variable: text})
    assert says in str(caught.value)
    assert caught.value.field.startswith("HEADRACE_")


@pytest.mark.parametrize(
    ("variable", "text"),
    [
        ("HEADRACE_STACK_URL", "https://me:hunter2@stack.example"),
        ("HEADRACE_ISSUER", "https://me:hunter2@issuer.example"),
        ("HEADRACE_BROKER_URL", "nats://me:hunter2@broker.example:4222"),
    ],
)
def test_a_password_in_an_address_is_not_repeated(variable: str, text: str) -> None:
    with pytest.raises(InvalidValue, match=f"{variable}: the value is not a URL") as caught:
        Settings.from_env({variable: text})
    assert "hunter2" not in str(caught.value)


def test_an_unknown_variable_is_found_with_the_nearest_name() -> None:
    environ = {
        "HEADRACE_CONCURENCY": "5",
        "HEADRACE_LEDGER": "http://127.0.0.1",
        "HEADRACE_QUITE_ELSEWHERE": "1",
        "HEADRACE_EMPTY": "",
        "HEADRACE_PORT": "8484",
        "HEADRACE_TOKEN": "of the command line",
        "HEADRACE_SERVICE_HOST": "10.0.0.1",
        "HEADRACE_SERVICE_PORT_HTTP": "8484",
        "HEADRACE_PORT_8484_TCP_ADDR": "10.0.0.1",
        "OTHER_CONCURENCY": "5",
    }
    assert unknown_variables(environ) == {
        "HEADRACE_CONCURENCY": "HEADRACE_CONCURRENCY",
        "HEADRACE_LEDGER": "HEADRACE_LEDGER_URL",
        "HEADRACE_QUITE_ELSEWHERE": None,
    }


def test_every_variable_that_code_or_a_test_names_is_known() -> None:
    """One that is read elsewhere than here must be listed, or its use would be called a mistake."""
    root = Path(__file__).parents[2]
    files = [
        *root.glob("src/**/*.py"),
        *root.glob("tests/support/*.py"),
        *root.glob("tests/expr/*.py"),
        root / "Dockerfile",
    ]
    named = {
        name
        for file in files
        if file != Path(__file__)
        for name in re.findall(r"(?<![A-Z_])HEADRACE_[A-Z0-9]+(?:_[A-Z0-9]+)*(?![A-Z0-9_{*}])", file.read_text())
    }
    assert len(named) > 30
    assert unknown_variables(dict.fromkeys(named, "1")) == {}


def test_schema_versions_of_ledgers() -> None:
    settings = Settings.from_env({"HEADRACE_LEDGER_SCHEMAS": "main=v1, fees=v2.0.0-rc.1,"})
    assert settings.ledger_schemas == (("main", "v1"), ("fees", "v2.0.0-rc.1"))
    assert Settings.from_env({}).ledger_schemas == ()


@pytest.mark.parametrize(
    "text",
    [
        "main",
        "main=",
        "=v1",
        "a b=v1",
        "_=v1",
        "main=v1,main=v2",
        "main=v 1",
        "main=v1&force=true",
        "main=v1=2",
        "m=\u0661",
    ],
)
def test_what_is_no_schema_version(text: str) -> None:
    with pytest.raises(InvalidValue) as refused:
        Settings.from_env({"HEADRACE_LEDGER_SCHEMAS": text})
    assert refused.value.field == "HEADRACE_LEDGER_SCHEMAS"
    assert "main=v1,fees=v2.0.0" in refused.value.reason


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://headrace:p%40ss@db.example:5432/headrace?sslmode=verify-full",
        "postgresql://127.0.0.1/headrace",
        "postgresql://a.example:5432,b.example/headrace?target_session_attrs=read-write",
        "postgresql://[::1]:5432/headrace",
        "postgresql:///headrace?host=/run/postgresql",
    ],
)
def test_the_url_of_a_database_is_kept_as_it_is_and_out_of_logs(url: str) -> None:
    settings = Settings.from_env({"HEADRACE_DATABASE_URL": url})
    assert settings.database_url == url
    assert "postgresql" not in repr(settings)


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("mysql://me:hunter2@127.0.0.1/headrace", "a URL such as postgresql://"),
        ("postgres://me:hunter2@127.0.0.1/headrace", "a URL such as postgresql://"),
        ("hunter2", "a URL such as postgresql://"),
        ("postgresql://me:hunter2@127.0.0.1:port/headrace", "each with a port from 1 to 65535"),
        ("postgresql://me:hunter2@127.0.0.1:0/headrace", "each with a port from 1 to 65535"),
        ("postgresql://me:hunter2@127.0.0.1:65536/headrace", "each with a port from 1 to 65535"),
        ("postgresql://me:hunter2@a:5432,b:x/headrace", "each with a port from 1 to 65535"),
        ("postgresql://me:hunter2@127.0.0.1", "names a database"),
        ("postgresql://me:hunter2@127.0.0.1/?sslmode=require", "names a database"),
        ("postgresql://me:hunter2@127.0.0.1/headrace\n", "a URL such as postgresql://"),
    ],
)
def test_another_url_is_refused_without_its_password(url: str, says: str) -> None:
    with pytest.raises(InvalidValue, match=r"^HEADRACE_DATABASE_URL: the value is not") as refused:
        Settings.from_env({"HEADRACE_DATABASE_URL": url})
    assert says in str(refused.value)
    assert "hunter2" not in str(refused.value)


def test_a_server_of_a_file_has_every_duty() -> None:
    with pytest.raises(InvalidValue, match="HEADRACE_DUTIES: needs HEADRACE_DATABASE_URL"):
        Settings.from_env({"HEADRACE_DUTIES": "false"})
    url = "postgresql://127.0.0.1/headrace"
    assert Settings.from_env({"HEADRACE_DUTIES": "false", "HEADRACE_DATABASE_URL": url}).duties is False


TEMPORAL = {"HEADRACE_ENGINE": "temporal", "HEADRACE_DATABASE_URL": "postgresql://127.0.0.1/headrace"}


def test_the_settings_of_temporal_are_read_and_its_key_is_kept_out_of_logs() -> None:
    settings = Settings.from_env(
        {
            **TEMPORAL,
            "HEADRACE_TEMPORAL_ADDRESS": "temporal.example:7233",
            "HEADRACE_TEMPORAL_API_KEY": "hunter2",
            "HEADRACE_TEMPORAL_CERT": "/tls/cert.pem",
            "HEADRACE_TEMPORAL_KEY": "/tls/key.pem",
            "HEADRACE_TEMPORAL_LOCAL": "true",
        }
    )
    assert (settings.engine, settings.temporal_address, settings.temporal_local) == (
        "temporal",
        "temporal.example:7233",
        True,
    )
    assert settings.temporal_cert == Path("/tls/cert.pem") and settings.temporal_key == Path("/tls/key.pem")
    assert "hunter2" not in repr(settings)


@pytest.mark.parametrize(
    ("variables", "says"),
    [
        ({"HEADRACE_DATABASE_URL": ""}, "HEADRACE_DATABASE_URL: is required with HEADRACE_ENGINE=temporal"),
        ({"HEADRACE_BEGIN_WITHIN_S": "30"}, "HEADRACE_BEGIN_WITHIN_S: must be shorter than HEADRACE_SETTLE_S"),
        ({"HEADRACE_SETTLE_S": "1"}, "HEADRACE_BEGIN_WITHIN_S: must be shorter than HEADRACE_SETTLE_S"),
        ({"HEADRACE_TEMPORAL_CERT": "c.pem"}, "HEADRACE_TEMPORAL_KEY: set both certificate and key"),
        ({"HEADRACE_TEMPORAL_KEY": "k.pem"}, "HEADRACE_TEMPORAL_CERT: set both certificate and key"),
        ({"HEADRACE_TEMPORAL_ADDRESS": "http://127.0.0.1:7233"}, "an address such as 127.0.0.1:7233"),
        ({"HEADRACE_TEMPORAL_ADDRESS": "127.0.0.1"}, "an address such as 127.0.0.1:7233"),
        ({"HEADRACE_TEMPORAL_ADDRESS": "127.0.0.1:0"}, "an address such as 127.0.0.1:7233"),
        ({"HEADRACE_TEMPORAL_API_KEY": "hunter2\n"}, "HEADRACE_TEMPORAL_API_KEY: the value is not one line"),
        ({"HEADRACE_ENGINE": "cadence"}, "one of embedded, temporal"),
    ],
)
def test_a_setting_of_temporal_that_cannot_be_is_refused(variables: dict[str, str], says: str) -> None:
    with pytest.raises(InvalidValue) as refused:
        Settings.from_env({**TEMPORAL, **variables})
    assert says in str(refused.value) and "hunter2" not in str(refused.value)


def test_an_embedded_engine_may_settle_at_once() -> None:
    assert Settings.from_env({"HEADRACE_SETTLE_S": "0"}).settle_s == 0
