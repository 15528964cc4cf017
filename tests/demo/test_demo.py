"""The demo, as `make demo EXIT=1` runs it, with one instance of each example."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

from headrace.cli import display
from headrace.cli.errors import REFUSED, UNFINISHED, USAGE
from headrace.cli.main import main
from headrace.demo import show
from headrace.demo.errors import DemoFailed, NoExamples, NotInTime
from tests.examples.playing import all_examples


@pytest.fixture(scope="module")
def picture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("demo") / "demo.svg"


@pytest.fixture(scope="module")
def told(picture: Path) -> str:
    command = [sys.executable, "-m", "headrace.cli", "demo", "--exit", "--runs", "1", "--picture", str(picture)]
    ran = subprocess.run(command, capture_output=True, text=True, check=False, timeout=110)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout


def test_the_demo_kills_its_server_and_finds_the_books_exact(told: str, picture: Path) -> None:
    assert "kill -9" in told
    assert "in flight at the kill" in told
    assert "The books are exact." in told
    assert "DIFFERS" not in told
    for example in all_examples():
        assert f"{example.name}  run a" in told
    assert len(list(ElementTree.parse(picture).iter())) > len(all_examples())


def test_the_demos_trigger_fires_once_for_each_pay_in(told: str) -> None:
    assert "5 pay-ins, 5 occurrences, 5 instances" in told
    assert "12 deliveries of 2 events, before the kill and after it: 10 suppressed" in told
    rows = re.findall(r"^((?:jane|omar)-\d) +(.*?)  +\w+/?\d? (\d+)  .* (\d)x +(\d)x +(\d)$", told, re.MULTILINE)
    assert [(label, delivered, suppressed, started) for label, _, _, delivered, suppressed, started in rows] == [
        ("jane-1", "6", "5", "1"),
        ("omar-1", "6", "5", "1"),
        ("jane-2", "1", "0", "1"),
        ("omar-2", "1", "0", "1"),
        ("jane-3", "1", "0", "1"),
    ]
    assert [appeared for _, appeared, *_ in rows[2:]] == ["before the kill", "as it is killed", "after the restart"]
    in_wallets = re.findall(r"^14-trigger-pays-wallet +wallet .* 0 +(\d+) +\d+$", told, re.MULTILINE)
    assert sum(map(int, in_wallets)) == sum(int(amount) for _, _, amount, *_ in rows)
    assert str(2**53 + 1) in told


@pytest.mark.parametrize(
    ("raised", "code", "hint"),
    [
        (NoExamples("it holds no examples"), USAGE, "--examples"),
        (NotInTime("still running"), UNFINISHED, ""),
        (DemoFailed("the books are not as they must be"), REFUSED, ""),
    ],
    ids=lambda value: type(value).__name__,
)
def test_each_end_has_its_exit_code(
    raised: DemoFailed, code: int, hint: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*_: object) -> None:
        raise raised

    monkeypatch.setattr(show, "show", fail)
    monkeypatch.setattr(sys, "argv", ["headrace", "demo"])
    with pytest.raises(SystemExit) as end:
        main()
    told = capsys.readouterr().err
    assert end.value.code == code
    assert str(raised) in told and hint in told


def test_a_folder_without_examples_is_a_usage_error(tmp_path: Path) -> None:
    with pytest.raises(NoExamples, match="no examples"):
        show.show(show.Choices(should_stop=True, examples=tmp_path), display)
