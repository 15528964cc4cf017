"""The systemd units are valid and hardened, start commands that exist, and stay down where a restart does not help."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from headrace.cli import errors
from tests.deploy.kit import CLOSING_S, KIT, STOP_S, complaints_of_process

FOLDER = KIT / "systemd"
UNITS = ("headrace.service", "headrace-worker@.service")
INSTALLED = "/opt/headrace/bin/headrace"
TAKEN_OVER = errors.TAKEN_OVER
"""Exit code of a server whose journal a standby has taken over."""
EXPOSURE = 20
"""In tenths, of `systemd-analyze security`: 0 is none, 100 is a service without any restriction."""

needs_systemd = pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed")


@pytest.fixture(params=UNITS)
def unit(request: pytest.FixtureRequest) -> str:
    return (FOLDER / request.param).read_text()


def directives(unit: str, name: str) -> list[str]:
    return re.findall(rf"^{name}=(.*)$", unit, re.MULTILINE)


def directive(unit: str, name: str) -> str:
    (value,) = directives(unit, name)
    return value


def variables(text: str) -> dict[str, str]:
    """Of lines `NAME=value`, also of those that `#` directly before the name switches off."""
    return dict(re.findall(r"^#?(HEADRACE_\w+)=(.*)$", text, re.MULTILINE))


def analyzed(unit: str, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run `systemd-analyze` on the unit, with a program in its place that this machine has."""
    name = "headrace@8491.service" if "%i" in unit else "headrace.service"
    file = folder / name
    file.write_text(unit.replace(INSTALLED, "/bin/true"))
    command = ["systemd-analyze", *arguments, str(file)]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=folder)


@needs_systemd
def test_systemd_knows_every_directive(unit: str, tmp_path: Path) -> None:
    told = analyzed(unit, tmp_path, "verify", "--man=no")
    assert (told.returncode, told.stdout + told.stderr) == (0, "")


@needs_systemd
@pytest.mark.parametrize(
    ("good", "bad"), [("RestartSec=2s", "RestartSecs=2s"), ("UMask=0077", "UMask=none"), ("Type=exec", "Type=ready")]
)
def test_systemd_finds_a_wrong_directive(good: str, bad: str, unit: str, tmp_path: Path) -> None:
    assert good in unit
    told = analyzed(unit.replace(good, bad), tmp_path, "verify", "--man=no")
    assert told.returncode != 0 or told.stderr


@needs_systemd
def test_the_unit_is_hardened(unit: str, tmp_path: Path) -> None:
    arguments = ("security", "--offline=true", f"--threshold={EXPOSURE}")
    assert analyzed(unit, tmp_path, *arguments).returncode == 0
    assert analyzed(unit.replace("ProtectSystem=strict\n", ""), tmp_path, *arguments).returncode == 0
    bare = re.sub(r"^(Protect|Private|Restrict[A-Z]|SystemCall|Capability|NoNew).*\n", "", unit, flags=re.MULTILINE)
    assert analyzed(bare, tmp_path, *arguments).returncode != 0


def complaints(unit: str, settings: str) -> Iterator[str]:
    """What the unit's process could not do: unknown settings, commands and options."""
    environment = dict(pair.split("=", 1) for pair in directive(unit, "Environment").split())
    program, *arguments = directive(unit, "ExecStart").replace("%i", "8491").split()
    if program != INSTALLED:
        yield f"{program} is not where the pages install it"
    yield from complaints_of_process(environment | variables(settings), arguments)
    state = f"/var/lib/{directive(unit, 'StateDirectory')}"
    if environment["HEADRACE_DATA"] != state or directive(unit, "WorkingDirectory") != state:
        yield "its data are not in its own state directory"


def test_settings_and_commands_exist(unit: str) -> None:
    assert list(complaints(unit, (FOLDER / "headrace.env").read_text())) == []


@pytest.mark.parametrize(
    ("good", "bad"),
    [
        ("HEADRACE_LOG_FORMAT=json", "HEADRACE_LOG_FORMAT=yaml"),
        ("HEADRACE_LOG_FORMAT=", "HEADRACE_LOGFORMAT="),
        ("bin/headrace ", "bin/headrace run-"),
        ("WorkingDirectory=/var/lib/", "WorkingDirectory=/srv/"),
    ],
)
def test_a_wrong_setting_or_command_is_found(good: str, bad: str, unit: str) -> None:
    assert list(complaints(unit.replace(good, bad), "")) != list(complaints(unit, ""))


def test_a_wrong_line_of_the_settings_is_found() -> None:
    unit, settings = (FOLDER / "headrace.service").read_text(), (FOLDER / "headrace.env").read_text()
    found = list(complaints(unit, settings.replace("#HEADRACE_TEMPORAL_TLS", "#HEADRACE_TEMPORAL_SSL")))
    assert found == ["HEADRACE_TEMPORAL_SSL is not a setting"]


def test_a_restart_is_tried_only_where_it_may_help(unit: str) -> None:
    stays_down = {int(code) for code in directive(unit, "RestartPreventExitStatus").split()}
    assert stays_down == {errors.USAGE, errors.UNUSABLE}
    assert not stays_down & {errors.OWNED, errors.BUG, TAKEN_OVER}
    assert directive(unit, "Restart") == "on-failure"


def test_a_stop_leaves_time_for_attempts_in_flight(unit: str) -> None:
    assert float(directive(unit, "TimeoutStopSec").removesuffix("s")) > STOP_S + CLOSING_S


def test_the_user_of_the_units_is_the_one_that_sysusers_makes(unit: str) -> None:
    made = re.search(r"^u (\w+) ", (FOLDER / "headrace.sysusers.conf").read_text(), re.MULTILINE)
    assert made is not None and directive(unit, "User") == directive(unit, "Group") == made[1]
