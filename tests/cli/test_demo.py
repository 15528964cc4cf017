"""The demo, as `make demo EXIT=1` runs it, with one instance of each example."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

from tests.examples.playing import all_examples


def test_the_demo_kills_its_server_and_finds_the_books_exact(tmp_path: Path) -> None:
    picture = tmp_path / "demo.svg"
    command = [sys.executable, "-m", "headrace.cli", "demo", "--exit", "--runs", "1", "--picture", str(picture)]
    ran = subprocess.run(command, capture_output=True, text=True, check=False, timeout=110)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "kill -9" in ran.stdout
    assert "in flight at the kill" in ran.stdout
    assert "The books are exact." in ran.stdout
    assert "DIFFERS" not in ran.stdout
    for example in all_examples():
        assert f"{example.name}  run a" in ran.stdout
    assert len(list(ElementTree.parse(picture).iter())) > len(all_examples())
