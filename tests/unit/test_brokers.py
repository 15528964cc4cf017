"""A kind of broker is one line of `BROKERS`: an unknown one is refused, a forgotten half fails with its name."""

from __future__ import annotations

import subprocess
import sys
import tomllib

import pytest

from headrace.composition.brokers import BROKERS, buses_of
from headrace.composition.doctor import check_broker
from headrace.errors import InvalidValue
from headrace.settings import BROKER_EXAMPLES, Settings
from tests.contract.test_bus import HARNESSES
from tests.tidy.repository import ROOT
from tests.unit.test_telemetry import FixedClock

UNKNOWN = Settings(broker_url="mqtt://127.0.0.1:1883", stack_name="acme")


async def test_a_broker_of_no_known_kind_is_refused_by_the_server_and_by_the_doctor() -> None:
    with pytest.raises(InvalidValue, match=r"HEADRACE_BROKER_URL.*the scheme mqtt is not one of kafka, nats"):
        buses_of(UNKNOWN, FixedClock())
    (finding,) = await check_broker(UNKNOWN)
    assert finding.status == "failed" and "the scheme mqtt is not one of" in finding.text


async def test_the_doctor_names_the_extra_that_a_broker_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    (finding,) = await check_broker(Settings(broker_url="kafka://127.0.0.1:1", stack_name="acme"))
    assert finding.status == "failed" and "pip install 'headrace[kafka]'" in finding.text


async def test_each_kind_is_served_by_its_own_adapter() -> None:
    for scheme, url in BROKER_EXAMPLES.items():
        buses = buses_of(Settings(broker_url=url, stack_name="acme"), FixedClock())
        assert [publisher.name for publisher in buses.publishers] == [f"{scheme}:acme-orchestration"]
        await buses.close()


def test_a_kind_with_an_example_and_no_adapter_is_an_error_at_import() -> None:
    program = (
        "from headrace import settings; settings.BROKER_EXAMPLES['mqtt'] = 'mqtt://127.0.0.1:1883';"
        "import headrace.composition.brokers"
    )
    shown = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=60)
    assert "ImportError: mqtt: in only one of settings.BROKER_EXAMPLES" in shown.stderr


def test_each_kind_has_its_suite_its_extra_and_its_page() -> None:
    assert {harness.name for harness in HARNESSES} == BROKERS.keys(), "HARNESSES of tests/contract/test_bus.py"
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    page = (ROOT / "docs/brokers.md").read_text()
    for scheme in BROKERS:
        assert scheme in extras, f"pyproject.toml has no extra {scheme}"
        assert f"`{scheme}://" in page or f"={scheme}://" in page, f"docs/brokers.md does not name {scheme}://"


def test_what_an_extra_installs_is_locked() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    locked = (ROOT / "requirements/run.in").read_text().splitlines()
    needed = {
        requirement.partition(">=")[0] for name, group in extras.items() if name != "otel" for requirement in group
    }
    assert needed - set(locked) == set(), "requirements/run.in"
